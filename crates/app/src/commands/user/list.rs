//! `attache user list`

use std::path::Path;

use attache_core::store::{Person, Stores};
use attache_store::Store;
use serde_json::{Value, json};

use crate::{Failure, commands::configuration, terminal::Terminal, wire::location};

/// People read at once.
const PAGE: u32 = 1_000;

pub(super) async fn run(config: Option<&Path>, terminal: Terminal) -> Result<(), Failure> {
    let (_, config) = configuration(config, terminal)?;
    let store = Store::open_as_is(&location(&config.store)).await.map_err(Failure::usage)?;
    let people = everybody(&store.stores()).await?;
    store.close().await;
    let people: Vec<Value> = people.iter().map(object).collect();
    terminal.data(&json!({ "users": people }), || table(&people));
    Ok(())
}

async fn everybody(stores: &Stores) -> Result<Vec<Person>, Failure> {
    let mut people: Vec<Person> = Vec::new();
    loop {
        let after = people.last().map(|person| &person.id);
        let page = stores.roster.page(after, PAGE).await.map_err(Failure::failed)?;
        if page.is_empty() {
            return Ok(people);
        }
        people.extend(page);
    }
}

pub(super) fn object(person: &Person) -> Value {
    json!({
        "id": person.id,
        "issuer": person.issuer,
        "subject": person.subject,
        "email": person.profile.email,
        "name": person.profile.name,
        "groups": person.profile.groups,
        "disabled": person.disabled,
        "created_at": person.created_at,
        "last_signed_in_at": person.vouched_for_at(),
    })
}

fn table(people: &[Value]) -> Vec<Vec<String>> {
    const COLUMNS: [&str; 5] = ["id", "subject", "email", "name", "last_signed_in_at"];
    let cell = |person: &Value, column: &str| match person.get(column) {
        Some(Value::String(text)) => text.clone(),
        _ => "-".to_owned(),
    };
    let state = |person: &Value| match person.get("disabled").and_then(Value::as_bool) {
        Some(true) => "off",
        _ => "on",
    };
    let row = |person: &Value| {
        let cells = COLUMNS.iter().map(|column| cell(person, column));
        cells.chain([state(person).to_owned()]).collect()
    };
    let header = COLUMNS.iter().copied().chain(["state"]).map(str::to_uppercase).collect();
    std::iter::once(header).chain(people.iter().map(row)).collect()
}
