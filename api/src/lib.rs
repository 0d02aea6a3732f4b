//! The words on the wire between `cofferd`, the registrar and their clients: one type for each JSON document, and the problem codes.
//!
//! No I/O, and of rules only which values there can be. Requests refuse unknown fields; sizes end in `_bytes`, durations in `_s`,
//! times are RFC 3339.

mod access;
mod audit;
mod device;
pub mod device_values;
mod files;
mod folders;
mod groups;
mod health;
mod metrics;
mod network;
mod organisation;
mod page;
mod patch;
mod problem;
mod registrar;
mod rotations;
mod sealing;
mod search;
mod second_factors;
mod secret;
mod secrets;
mod sessions;
mod setup;
mod setup_failure;
mod shares;
mod srp;
mod storage;
mod transfer;
mod updates;
mod users;
mod variables;
mod vault;
mod webhooks;
mod wifi;

pub use access::{Access, FolderAccess, FolderGrant};
pub use audit::{
    AuditEntry, AuditFault, AuditFormat, AuditHead, AuditOutcome, AuditRetention, AuditVerification, BrokenAuditRow,
};
pub use device::{
    ChangeDevice, ClockStats, CpuStats, Device, DeviceFailure, DeviceFailureCode, DeviceProblem, DeviceProblemCode,
    DeviceProblems, DeviceRegistration, DeviceRegistrationState, DeviceSetup, DeviceStats, DeviceTunnel, DiskStats,
    NetworkReport, NetworkState, NetworkStatus, NvmeStats, NvmeWarning, NvmeWear, OwnTunnel, RegistrationStep,
    SetupCodeKind, SetupCodeVerifier, Severity, StartRegistration, Throttling, TunnelState,
};
pub use files::{CreateText, File, FileText, Flip, PlaceFile, Revision, Thumbnail, ThumbnailState, TurnPicture};
pub use folders::{ChangeFolder, CreateFolder, Folder, PlaceFolder};
pub use groups::{Group, GroupMember, NameGroup};
pub use health::{Health, HealthStatus, KeyFileState, VaultState};
pub use metrics::{
    CacheMetrics, DatabaseMetrics, DiskMetrics, Metrics, ProcessMetrics, QueueMetrics, RouteMetrics, SystemMetrics,
};
pub use network::{
    FetchedOrder, KnownNetwork, KnownNetworks, NetworkChange, NetworkChangeKind, NetworkOrder, NetworkOrderState,
    OrderOutcome, SavedNetwork, SavedNetworks,
};
pub use organisation::{
    Colour, Comment, CommentHistory, CommentVersion, Item, ItemDetails, MarkedItem, Note, SetLabel, SetNote, Star, Tag,
    WriteComment,
};
pub use page::Page;
pub use problem::{FieldProblem, Problem, ProblemCode};
pub use registrar::{
    ClaimTicket, DeviceToken, IssueDeviceToken, RegisterDevice, RegisteredDevice, RegisteredDevices, RegistrarCode,
    RegistrarHealth, RegistrarProblem, Registration, RegistrationState,
};
pub use rotations::{
    CreateSecretRotation, PutSecretDropBox, RotationProvider, RotationState, SecretDrop, SecretDropBox, SecretDrops,
    SecretRotation,
};
pub use sealing::{
    BeginSealingJob, Encryption, EncryptionMethod, EncryptionMode, SealingFinding, SealingJob, SealingJobKind,
    SealingJobState, SealingJobWait, SealingKey, SetEncryption,
};
pub use search::{SearchResult, SearchResults, Snippet, SnippetPart, SnippetSource};
pub use second_factors::{
    AddedPasskey, ConfirmTotp, FinishPasskey, NewRecoveryCodes, NewTotp, Passkey, PasskeyCeremony, PasswordAgain,
    RenamePasskey, SecondFactorAdded, SecondFactors, StartPasskey, Totp,
};
pub use secret::SecretString;
pub use secrets::{
    CreateSecretHandout, CreateSecretVault, OpenSecretHandout, OpenedSecretHandout, PutSecretItem, PutSecretMember,
    RotateSecretVault, SecretAccount, SecretAttachment, SecretChanges, SecretGroup, SecretHandout, SecretIdentity,
    SecretItem, SecretItemKey, SecretMember, SecretMemberKey, SecretRevision, SecretRole, SecretVault, SecretVaultKey,
};
pub use sessions::{
    AnswerChallenge, ApiKey, CreateApiKey, CreateDeviceLink, CreateSession, DeviceLink, LoginReply, NewApiKey,
    NewSession, RefreshSession, SecondFactorChallenge, SecondFactorMethod, Session,
};
pub use setup::{
    ControlRequest, EnterpriseMethod, EnterpriseRequest, MAX_REQUEST_ID, RegisterRequest, ScanRequest, SetupAccess,
    SetupError, SetupErrorCode, SetupOutcome, SetupPhone, SetupReply, SetupRequest, SetupWelcome, WifiRequest,
};
pub use setup_failure::{BoxDid, FailureReport, SetupFailure};
pub use shares::{ChangeShare, CreateShare, NewShare, Share, ShareInfo, ShareKind, SharedItem, SharedUpload};
pub use srp::{EnrolSrp, FinishSrp, SrpFinished, SrpStarted, SrpVerifier, StartSrp};
pub use storage::{
    Bulk, BulkAction, BulkResult, BulkResults, ContentFault, FaultyRevision, FolderUsage, ItemKind, RestoredItem,
    Scrub, SetQuota, StoragePolicy, StorageUsage, TrashEmptied, TrashItem, UserUsage,
};
pub use transfer::{CreateArchive, FormPart, FormUploaded, Upload};
pub use updates::{DeviceUpdate, DeviceUpdateState, PastUpdate, UpdateFailure, UpdateFailureCode, UpdateOutcome};
pub use users::{
    ChangePassword, ChangeProfile, ChangeUser, CreateInvitation, CreateUser, Invitation, NewInvitation, Policy,
    Register, ResetPassword, Role, User,
};
pub use variables::{SetVariable, Variable};
pub use vault::{
    CreateVault, FirstAdmin, KeySlot, KeySlotKind, MasterCredential, NewMasterPassword, NewRecoveryKey,
    OptionalMasterPassword, UnlockVault, VaultCreated,
};
pub use webhooks::{ChangeWebhook, CreateWebhook, DeliveryState, NewWebhook, ToldEvent, Webhook, WebhookDelivery};
pub use wifi::{
    Connectivity, EapMethod, EnterpriseLogin, JoinWifi, PendingAddress, ScanWifi, SetAddress, Ssid, WifiBand,
    WifiCredentials, WifiNetwork, WifiRadio, WifiScan, WifiSecurity, WifiState, WifiStatus,
};
