//! The examples in the description are what they claim: each reads as its type, and is written back as it was.

use std::any::type_name;

use coffer_api::{
    AddedPasskey, AnswerChallenge, ApiKey, AuditEntry, AuditRetention, AuditVerification, Bulk, ChangeFolder,
    ChangePassword, ChangeProfile, ChangeShare, ChangeUser, ChangeWebhook, Comment, CommentVersion, ConfirmTotp,
    CreateApiKey, CreateArchive, CreateDeviceLink, CreateFolder, CreateInvitation, CreateSession, CreateShare,
    CreateText, CreateUser, CreateVault, DeviceLink, DeviceStats, FetchedOrder, File, FileText, FinishPasskey, Folder,
    FolderAccess, Group, GroupMember, Health, Invitation, Item, JoinWifi, KeySlot, KnownNetworks, MasterCredential,
    NameGroup, NetworkOrder, NewApiKey, NewInvitation, NewMasterPassword, NewRecoveryCodes, NewRecoveryKey, NewSession,
    NewShare, NewTotp, NewWebhook, Note, OptionalMasterPassword, OrderOutcome, Passkey, PasskeyCeremony, PasswordAgain,
    PlaceFile, PlaceFolder, Policy, Problem, RefreshSession, Register, RenamePasskey, ResetPassword, RestoredItem,
    Revision, SavedNetworks, SecondFactorAdded, SecondFactorChallenge, SecondFactors, Session, SetAddress, SetNote,
    SetQuota, SetVariable, Share, SharedItem, SharedUpload, SnippetPart, StartPasskey, StoragePolicy, Tag, Totp,
    TrashItem, TurnPicture, UnlockVault, User, Variable, VaultCreated, Webhook, WriteComment,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

/// Fails when the type has no example, or one of something else.
fn check<T: ToSchema + Serialize + DeserializeOwned>() {
    let name = type_name::<T>();
    let schema = serde_json::to_value(T::schema());
    let example = schema.ok().and_then(|schema| schema.get("example").cloned()).unwrap_or_default();
    assert_ne!(example, Value::Null, "{name} has no example");
    let read = serde_json::from_value::<T>(example.clone()).map_err(|error| error.to_string());
    let written = read.map(|value| serde_json::to_value(value).unwrap_or_default());
    assert_eq!(written, Ok(example), "{name}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a line for each type")]
fn an_example_reads_as_its_type_and_is_written_back() {
    check::<AddedPasskey>();
    check::<AnswerChallenge>();
    check::<ApiKey>();
    check::<AuditEntry>();
    check::<AuditRetention>();
    check::<AuditVerification>();
    check::<Bulk>();
    check::<ChangeFolder>();
    check::<ChangePassword>();
    check::<ChangeProfile>();
    check::<ChangeShare>();
    check::<ChangeUser>();
    check::<ChangeWebhook>();
    check::<Comment>();
    check::<CommentVersion>();
    check::<ConfirmTotp>();
    check::<CreateApiKey>();
    check::<CreateArchive>();
    check::<CreateDeviceLink>();
    check::<CreateFolder>();
    check::<CreateInvitation>();
    check::<CreateSession>();
    check::<CreateShare>();
    check::<CreateText>();
    check::<CreateUser>();
    check::<CreateVault>();
    check::<DeviceLink>();
    check::<DeviceStats>();
    check::<FetchedOrder>();
    check::<File>();
    check::<FileText>();
    check::<FinishPasskey>();
    check::<Folder>();
    check::<FolderAccess>();
    check::<Group>();
    check::<GroupMember>();
    check::<Health>();
    check::<Invitation>();
    check::<Item>();
    check::<JoinWifi>();
    check::<KeySlot>();
    check::<KnownNetworks>();
    check::<MasterCredential>();
    check::<NameGroup>();
    check::<NetworkOrder>();
    check::<NewApiKey>();
    check::<NewInvitation>();
    check::<NewMasterPassword>();
    check::<NewRecoveryCodes>();
    check::<NewRecoveryKey>();
    check::<NewSession>();
    check::<NewShare>();
    check::<NewTotp>();
    check::<NewWebhook>();
    check::<Note>();
    check::<OptionalMasterPassword>();
    check::<OrderOutcome>();
    check::<Passkey>();
    check::<PasskeyCeremony>();
    check::<PasswordAgain>();
    check::<PlaceFile>();
    check::<PlaceFolder>();
    check::<Policy>();
    check::<Problem>();
    check::<RefreshSession>();
    check::<Register>();
    check::<RenamePasskey>();
    check::<ResetPassword>();
    check::<RestoredItem>();
    check::<Revision>();
    check::<SavedNetworks>();
    check::<SecondFactorAdded>();
    check::<SecondFactorChallenge>();
    check::<SecondFactors>();
    check::<Session>();
    check::<SetAddress>();
    check::<SetNote>();
    check::<SetQuota>();
    check::<SetVariable>();
    check::<Share>();
    check::<SharedItem>();
    check::<SharedUpload>();
    check::<SnippetPart>();
    check::<StartPasskey>();
    check::<StoragePolicy>();
    check::<Tag>();
    check::<Totp>();
    check::<TrashItem>();
    check::<TurnPicture>();
    check::<UnlockVault>();
    check::<User>();
    check::<Variable>();
    check::<VaultCreated>();
    check::<Webhook>();
    check::<WriteComment>();
}
