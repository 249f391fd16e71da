//! `attache user`: people, as whoever runs the gateway handles them. Beside gateways, in their store.

mod desk;
mod list;
mod offboard;

use attache_core::{
    UserId,
    store::{Person, Profile, Stores},
};

use self::desk::Desk;
use crate::{
    Failure,
    cli::{Global, User},
    telemetry,
    terminal::Terminal,
};

pub(crate) async fn run(
    command: &User,
    global: &Global,
    terminal: Terminal,
) -> Result<(), Failure> {
    telemetry::install(global, terminal, true);
    match command {
        User::List { place } => list::run(place.config.as_deref(), terminal).await,
        User::Disable { user, place } => {
            let switch = async |desk: &Desk| switch(desk, user, true, terminal).await;
            Desk::sit(place.config.as_deref(), terminal, switch).await
        }
        User::Enable { user, place } => {
            let switch = async |desk: &Desk| switch(desk, user, false, terminal).await;
            Desk::sit(place.config.as_deref(), terminal, switch).await
        }
        User::Offboard { user, place } => {
            let offboard = async |desk: &Desk| offboard::run(desk, user, terminal).await;
            Desk::sit(place.config.as_deref(), terminal, offboard).await
        }
    }
}

async fn switch(
    desk: &Desk,
    named: &str,
    disabled: bool,
    terminal: Terminal,
) -> Result<(), Failure> {
    let person = find(&desk.stores, named).await?;
    desk.offboarding.switch(&person, disabled).await.map_err(Failure::failed)?;
    let now = if disabled {
        "switched off; their sign-ins, access tokens and programs are ended, their connections kept"
    } else {
        "switched on, and signs in anew"
    };
    terminal.message(format_args!("{} is {now}", label(&person)));
    Ok(())
}

/// By id, or by an address that is one person's alone.
async fn find(stores: &Stores, named: &str) -> Result<Person, Failure> {
    let by_id = stores.people.find(&UserId::new(named)).await.map_err(Failure::failed)?;
    if let Some(person) = by_id {
        return Ok(person);
    }
    let mut found = stores.roster.find_by_email(named).await.map_err(Failure::failed)?;
    match (found.pop(), found.pop()) {
        (Some(person), None) => Ok(person),
        (None, _) => Err(Failure::Failed(format!("nobody is {named}: see `attache user list`"))),
        (Some(one), Some(other)) => Err(Failure::Failed(format!(
            "more than one is {named}: say which by id, such as {} or {}",
            other.id, one.id
        ))),
    }
}

/// What a message calls this person.
fn label(person: &Person) -> &str {
    let Profile { email, name, .. } = &person.profile;
    email.as_deref().or(name.as_deref()).unwrap_or(&person.subject)
}
