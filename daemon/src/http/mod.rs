//! The REST API: routes, extractors, streaming bodies, and the one table from errors to problems.
//!
//! A handler extracts, calls one method of a service, and wraps the result. It sees services and values only.

mod access;
mod accounts;
mod archives;
mod audit;
mod audit_export;
mod comments;
mod conditional;
mod content;
mod credentials;
mod device;
mod digest;
mod docs;
mod events;
mod express;
mod extract;
mod files;
mod folders;
mod forms;
mod groups;
mod handout_page;
mod handouts;
mod health;
mod items;
mod marks;
mod metrics;
mod middleware;
mod network;
mod notes;
mod passkeys;
mod pictures;
mod problem;
mod refusals;
mod registration;
mod request_stats;
mod revisions;
mod rotations;
mod scrubs;
mod sealing;
mod search;
mod second_factors;
mod secret_attachments;
mod secrets;
pub(crate) mod server;
mod sessions;
mod share_drops;
mod share_pages;
mod share_visits;
mod shares;
mod srp;
mod storage;
mod tags;
mod thumbnails;
mod trash;
mod tus;
mod updates;
mod uploads;
mod users;
mod variables;
mod vault;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use request_stats::RequestStats;

use crate::service::access::Privacy;
use crate::service::accounts::Accounts;
use crate::service::api_keys::ApiKeys;
use crate::service::archives::Archives;
use crate::service::audit::Auditor;
use crate::service::bulk::Bulk;
use crate::service::comments::Comments;
use crate::service::device_links::DeviceLinks;
use crate::service::device_settings::DeviceSettings;
use crate::service::event_stream::EventStreams;
use crate::service::factory_reset::FactoryReset;
use crate::service::files::Files;
use crate::service::folders::Folders;
use crate::service::groups::Groups;
use crate::service::handouts::Handouts;
use crate::service::health::HealthCheck;
use crate::service::items::Items;
use crate::service::marks::Marks;
use crate::service::metrics::Observatory;
use crate::service::network::Network;
use crate::service::network_orders::NetworkOrders;
use crate::service::notes::Notes;
use crate::service::pictures::Pictures;
use crate::service::problems::Problems;
use crate::service::registration::Registrations;
use crate::service::rotations::Rotations;
use crate::service::scrub::Scrubs;
use crate::service::sealing_jobs::SealingJobs;
use crate::service::sealing_settings::SealingSettings;
use crate::service::search::Search;
use crate::service::second_factors::SecondFactors;
use crate::service::secret_attachments::SecretAttachments;
use crate::service::secrets::Secrets;
use crate::service::sessions::Sessions;
use crate::service::share_visits::ShareVisits;
use crate::service::shares::Shares;
use crate::service::srp::SrpVerifiers;
use crate::service::stats::Stats;
use crate::service::storage_policy::StorageRules;
use crate::service::tags::Tags;
use crate::service::thumbnails::Thumbnails;
use crate::service::trash::Trash;
use crate::service::tunnel::Tunnel;
use crate::service::updates::Updates;
use crate::service::uploads::Uploads;
use crate::service::users::Users;
use crate::service::variables::Variables;
use crate::service::vault::Vault;
use crate::service::webhooks::Webhooks;

/// The services, of which each handler asks for the one it needs.
#[derive(Clone, FromRef)]
pub(crate) struct Services {
    pub(crate) vault: Arc<Vault>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) second_factors: Arc<SecondFactors>,
    pub(crate) srp_verifiers: Arc<SrpVerifiers>,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) secret_attachments: Arc<SecretAttachments>,
    pub(crate) handouts: Arc<Handouts>,
    pub(crate) rotations: Arc<Rotations>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) users: Arc<Users>,
    pub(crate) api_keys: Arc<ApiKeys>,
    pub(crate) device_links: Arc<DeviceLinks>,
    pub(crate) folders: Arc<Folders>,
    pub(crate) files: Arc<Files>,
    pub(crate) trash: Arc<Trash>,
    pub(crate) bulk: Arc<Bulk>,
    pub(crate) items: Arc<Items>,
    pub(crate) tags: Arc<Tags>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) comments: Arc<Comments>,
    pub(crate) search: Arc<Search>,
    pub(crate) shares: Arc<Shares>,
    pub(crate) share_visits: Arc<ShareVisits>,
    pub(crate) storage: Arc<StorageRules>,
    pub(crate) scrubs: Arc<Scrubs>,
    pub(crate) sealing: Arc<SealingSettings>,
    pub(crate) sealing_jobs: Arc<SealingJobs>,
    pub(crate) archives: Arc<Archives>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) thumbnails: Arc<Thumbnails>,
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) privacy: Arc<Privacy>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) variables: Arc<Variables>,
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) event_streams: Arc<EventStreams>,
    pub(crate) health: Arc<HealthCheck>,
    pub(crate) device_settings: Arc<DeviceSettings>,
    pub(crate) registrations: Arc<Registrations>,
    pub(crate) factory_reset: Arc<FactoryReset>,
    pub(crate) tunnel: Arc<Tunnel>,
    pub(crate) problems: Arc<Problems>,
    pub(crate) network: Arc<Network>,
    pub(crate) network_orders: Arc<NetworkOrders>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) updates: Arc<Updates>,
    pub(crate) observatory: Arc<Observatory>,
    pub(crate) request_stats: RequestStats,
    pub(crate) auditor: Auditor,
}

/// What people keep in the vault, and what they do with it.
fn routes_of_files() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(folders::create, folders::list))
        .routes(routes!(folders::get, folders::change, folders::trash))
        .routes(routes!(folders::copy))
        .routes(routes!(access::get, access::set))
        .routes(routes!(archives::folder))
        .routes(routes!(archives::create))
        .routes(routes!(files::upload, files::list))
        .routes(routes!(forms::upload))
        .merge(uploads::router())
        .routes(routes!(files::get, files::change, files::trash))
        .routes(routes!(files::content, files::replace))
        .routes(routes!(files::copy))
        .routes(routes!(thumbnails::get))
        .routes(routes!(pictures::turn))
        .routes(routes!(files::create_text))
        .routes(routes!(files::text, files::edit_text))
        .routes(routes!(revisions::list))
        .routes(routes!(revisions::get, revisions::delete))
        .routes(routes!(revisions::content))
        .routes(routes!(revisions::restore))
        .routes(routes!(trash::list, trash::empty))
        .routes(routes!(trash::delete))
        .routes(routes!(trash::restore))
        .routes(routes!(trash::bulk))
        .routes(routes!(items::details))
        .routes(routes!(items::recent))
        .routes(routes!(tags::list))
        .routes(routes!(tags::add, tags::remove))
        .routes(routes!(marks::favourites))
        .routes(routes!(marks::add_favourite, marks::remove_favourite))
        .routes(routes!(marks::stars))
        .routes(routes!(marks::add_star, marks::remove_star))
        .routes(routes!(marks::set_label, marks::remove_label))
        .routes(routes!(notes::get, notes::set, notes::delete))
        .routes(routes!(comments::list, comments::add))
        .routes(routes!(comments::edit, comments::delete))
        .routes(routes!(comments::history))
        .routes(routes!(search::run))
        .routes(routes!(shares::create, shares::list))
        .routes(routes!(shares::get, shares::change, shares::revoke))
        .routes(routes!(storage::policy, storage::set_policy))
        .routes(routes!(storage::usage))
        .routes(routes!(scrubs::begin, scrubs::last))
        .routes(routes!(scrubs::faults))
        .routes(routes!(sealing::look, sealing::set))
        .routes(routes!(sealing::seal))
        .routes(routes!(sealing::keys))
        .routes(routes!(sealing::destroy_keys))
        .routes(routes!(sealing::rotate_root_key))
        .routes(routes!(sealing::begin_job, sealing::list_jobs))
        .routes(routes!(sealing::get_job, sealing::cancel_job))
        .routes(routes!(storage::own))
        .routes(routes!(storage::of_user, storage::set_quota))
}

/// The vault itself, people, and what watches over both.
fn routes_of_the_vault() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(vault::status, vault::create))
        .routes(routes!(vault::unlock))
        .routes(routes!(vault::lock))
        .routes(routes!(vault::begin_lockdown, vault::end_lockdown))
        .routes(routes!(vault::change_master_password))
        .routes(routes!(vault::replace_recovery_key))
        .routes(routes!(vault::list_key_slots))
        .routes(routes!(vault::remove_key_slot))
        .routes(routes!(vault::move_key_to_stick, vault::move_key_to_box))
        .routes(routes!(sessions::open, sessions::list, sessions::close_others))
        .routes(routes!(sessions::answer))
        .routes(routes!(sessions::refresh))
        .routes(routes!(srp::start))
        .routes(routes!(srp::finish))
        .routes(routes!(srp::get, srp::set))
        .routes(routes!(srp::remove))
        .routes(routes!(sessions::close_current))
        .routes(routes!(sessions::close))
        .routes(routes!(users::me, users::change_me))
        .routes(routes!(users::change_my_password))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::change, users::delete))
        .routes(routes!(users::reset_password))
        .routes(routes!(users::reset_second_factors))
        .routes(routes!(users::policy, users::set_policy))
        .routes(routes!(accounts::register))
        .routes(routes!(accounts::invitations, accounts::invite))
        .routes(routes!(accounts::revoke_invitation))
        .routes(routes!(credentials::list_keys, credentials::create_key))
        .routes(routes!(credentials::delete_key))
        .routes(routes!(credentials::device_link, credentials::link_device, credentials::unlink_device))
        .routes(routes!(second_factors::list))
        .routes(routes!(second_factors::begin_totp))
        .routes(routes!(second_factors::confirm_totp))
        .routes(routes!(second_factors::remove_totp))
        .routes(routes!(second_factors::replace_recovery_codes))
        .routes(routes!(passkeys::begin))
        .routes(routes!(passkeys::finish, passkeys::rename))
        .routes(routes!(passkeys::remove))
        .routes(routes!(groups::create, groups::list))
        .routes(routes!(groups::get, groups::rename, groups::delete))
        .routes(routes!(groups::members))
        .routes(routes!(groups::add_member, groups::remove_member))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::retention, audit::set_retention))
        .routes(routes!(variables::list))
        .routes(routes!(variables::get, variables::set, variables::delete))
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::get, webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(events::stream))
        .routes(routes!(metrics::json))
}

/// What clients have sealed.
fn routes_of_secrets() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(secrets::account, secrets::set_account))
        .routes(routes!(secrets::identity))
        .routes(routes!(secrets::person))
        .routes(routes!(secrets::group))
        .routes(routes!(secrets::create, secrets::list))
        .routes(routes!(secrets::get, secrets::delete))
        .routes(routes!(secrets::keys, secrets::rotate))
        .routes(routes!(secrets::members))
        .routes(routes!(secrets::put_member, secrets::remove_member))
        .routes(routes!(secrets::item, secrets::put_item))
        .routes(routes!(secrets::revisions))
        .routes(routes!(secret_attachments::list))
        .routes(routes!(secret_attachments::get, secret_attachments::put, secret_attachments::delete))
        .routes(routes!(secrets::sync))
        .routes(routes!(handouts::create, handouts::list))
        .routes(routes!(handouts::delete))
        .routes(routes!(handouts::open))
        .routes(routes!(rotations::put_drop_box))
        .routes(routes!(rotations::drops))
        .routes(routes!(rotations::take_drop))
        .routes(routes!(rotations::create, rotations::list))
        .routes(routes!(rotations::get, rotations::delete))
        .routes(routes!(rotations::run))
}

/// The box itself.
fn routes_of_the_device() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(device::look, device::change))
        .routes(routes!(device::setup))
        .routes(routes!(device::use_up_code))
        .routes(routes!(registration::start, registration::look, registration::forget))
        .routes(routes!(device::factory_reset))
        .routes(routes!(device::tunnel))
        .routes(routes!(device::problems))
        .routes(routes!(device::network, device::report_network))
        .routes(routes!(network::set_address))
        .routes(routes!(network::confirm_address))
        .routes(routes!(network::fetch))
        .routes(routes!(network::look, network::end))
        .routes(routes!(network::list, network::report, network::join))
        .routes(routes!(network::forget))
        .routes(routes!(device::stats))
        .routes(routes!(updates::look, updates::install))
        .routes(routes!(updates::install_from_channel))
        .routes(routes!(updates::restart))
}

/// Every route, with the document that describes them.
pub(crate) fn router(services: Services) -> Router {
    let api = routes_of_the_vault().merge(routes_of_files()).merge(routes_of_secrets()).merge(routes_of_the_device());
    let stats = services.request_stats.clone();
    let (router, mut document) = OpenApiRouter::with_openapi(docs::Document::openapi())
        .routes(routes!(health::look))
        .routes(routes!(share_visits::page, share_visits::open))
        .routes(routes!(share_visits::info))
        .routes(routes!(share_visits::items))
        .routes(routes!(share_visits::content))
        .routes(routes!(share_visits::archive))
        .routes(routes!(share_drops::upload))
        .routes(routes!(handouts::page))
        .routes(routes!(metrics::text))
        .nest("/api/v1", api)
        .with_state(services)
        .split_for_parts();
    refusals::complete(&mut document);
    let router = router.merge(docs::router(document));
    let router = router.fallback(problem::no_such_address).method_not_allowed_fallback(problem::no_such_method);
    middleware::wrap(router, stats)
}
