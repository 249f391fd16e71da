//! The configuration of every world.

use attache_sandbox::AuthorizationServer;
use url::Url;

use crate::world::{CLIENT_SECRET, World};

/// `notes` and `mail` are two companies; `vip` and `vip-api` are for engineers, which Ada is, and so
/// are some tools of `guarded`, which gets no credential.
pub(crate) fn text(world: &World) -> String {
    text_of(world, &world.origin)
}

/// Of the gateway at `origin`.
pub(crate) fn text_of(world: &World, origin: &Url) -> String {
    let server = |server: &AuthorizationServer| {
        let issuer = server.issuer();
        format!(
            "mode = \"oauth_connect\"\nauthorization_endpoint = \"{issuer}/authorize\"\n\
             token_endpoint = \"{issuer}/token\"\nrevocation_endpoint = \"{issuer}/revoke\"\n\
             issuer = \"{issuer}\"\nclient_id = \"attache\"\n\
             client_secret = \"{CLIENT_SECRET}\"\n"
        )
    };
    let retired = if world.home.retired_key_file().exists() { "\"file:retired.key\"" } else { "" };
    let listen = origin.authority();
    let origin = origin.origin().ascii_serialization();
    format!(
        r#"
public_url = "{origin}"
listen = "{listen}"
admin_listen = "127.0.0.1:0"
store.url = "{store}"
keys.active = "file:attache.key"
keys.retired = [{retired}]
egress.allow_private = ["{address}/32"]

[identity.oidc]
issuer = "{idp}"
client_id = "attache"
client_secret = "{CLIENT_SECRET}"
{oidc}

[[identity.jwt]]
issuer = "{idp}"
audience = "{origin}"

[[identity.jwt]]
issuer = "{forge}"
audience = "{origin}"

[[upstream]]
name = "notes"
url = "{mcp}"
protocol = "streamable-http"
[upstream.auth_broker]
{notes}resource = "{mcp}"

[[upstream]]
name = "vip"
url = "{mcp}"
protocol = "streamable-http"
allow.groups = ["engineering"]
[upstream.auth_broker]
{notes}
[[upstream]]
name = "vip-api"
url = "{api}"
protocol = "http"
allow.groups = ["engineering"]
[upstream.auth_broker]
{notes}
[[upstream]]
name = "api"
url = "{api}"
protocol = "http"
[upstream.auth_broker]
{notes}
[[upstream]]
name = "keyed"
url = "{bare}base"
protocol = "http"
headers = {{ "X-Team" = "core" }}
[upstream.auth_broker]
{notes}header = "X-Api-Token"
header_format = "token {{token}}"

[[upstream]]
name = "rooms"
url = "{bare}rooms"
protocol = "streamable-http"
[upstream.auth_broker]
{notes}
[[upstream]]
name = "mail"
url = "{bare}mail"
protocol = "streamable-http"
[upstream.auth_broker]
{mail}

[[upstream]]
name = "guarded"
url = "{bare}guarded"
tools = [{{ allow = ["read_*", "delete_draft"], deny = ["*_secret"] }},
  {{ groups = ["engineering"], allow = ["delete_*"] }}]
{more}"#,
        address = world.surroundings.address,
        store = world.store,
        idp = world.idp.issuer(),
        oidc = world.surroundings.oidc,
        forge = world.forge.issuer,
        mcp = world.mcp.endpoint(),
        api = world.api.url(),
        bare = world.bare.url,
        notes = server(&world.notes),
        mail = server(&world.mail),
        more = more(world, &origin, &server(&world.notes)),
    )
}

fn more(world: &World, origin: &str, broker: &str) -> String {
    world
        .surroundings
        .more
        .replace("{origin}", origin)
        .replace("{forge}", &world.forge.issuer)
        .replace("{mcp}", world.mcp.endpoint().as_str())
        .replace("{notes}", world.notes.issuer())
        .replace("{bare}", world.bare.url.as_str())
        .replace("{broker}", broker)
}
