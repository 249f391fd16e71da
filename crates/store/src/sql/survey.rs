use attache_core::{
    Slot, Timestamp,
    audit::{Action, Reason},
    store::{Headcount, Held, Result, SurveyStore, Tally},
};

use super::audit::outcome;
use crate::db::{Db, Row, Unreadable, values};

const PEOPLE: &str = "
    SELECT count(*) AS everybody, count(CASE WHEN disabled THEN 1 END) AS disabled FROM person";

const CREDENTIALS: &str = "
    SELECT slot, health, reason, count(*) AS credentials FROM credential
    WHERE substr(slot, 1, 9) = 'upstream:'
    GROUP BY slot, health, reason ORDER BY slot, health, reason LIMIT 10000";

/// The newest first: where there is too much, it is the beginning that is left out.
const HAPPENED: &str = "
    SELECT server, action, outcome, reason, hour, count(*) AS times, max(at) AS last
    FROM (SELECT server, action, outcome, reason, at, (at - $1) / 3600000 AS hour
        FROM audit_event WHERE at >= $1 ORDER BY at DESC, id DESC LIMIT $2) AS recent
    GROUP BY server, action, outcome, reason, hour
    ORDER BY hour DESC, server, action, outcome, reason LIMIT 10000";

#[async_trait::async_trait]
impl SurveyStore for Db {
    async fn people(&self) -> Result<Headcount> {
        let row = self.read_one(PEOPLE, &[]).await?;
        let Some(row) = &row else { return Ok(Headcount::default()) };
        let read =
            || Ok(Headcount { all: count(row, "everybody")?, disabled: count(row, "disabled")? });
        read().map_err(|unreadable: Unreadable| unreadable.of("person", "?"))
    }

    async fn credentials(&self) -> Result<Vec<Held>> {
        let rows = self.read(CREDENTIALS, &[]).await?;
        let held = rows.iter().map(|row| held(row).map_err(|error| error.of("credential", "?")));
        held.filter_map(Result::transpose).collect()
    }

    async fn happened(&self, since: Timestamp, bound: u32) -> Result<Vec<Tally>> {
        let rows = self.read(HAPPENED, values![since, bound]).await?;
        rows.iter().map(|row| tally(row).map_err(|error| error.of("audit_event", "?"))).collect()
    }
}

/// `None` for what serves no request.
fn held(row: &Row) -> Result<Option<Held>, Unreadable> {
    let Slot::Upstream(server) = row.word("slot", |text| text.parse().ok())? else {
        return Ok(None);
    };
    let ended = row.maybe_word("reason", Reason::parse)?;
    Ok(Some(Held { server, ended, count: count(row, "credentials")? }))
}

fn tally(row: &Row) -> Result<Tally, Unreadable> {
    Ok(Tally {
        server: row.maybe_word("server", |name| name.parse().ok())?,
        action: row.word("action", Action::parse)?,
        outcome: outcome(row)?,
        hour: u32::try_from(row.int("hour")?).map_err(|_| Unreadable("hour"))?,
        count: count(row, "times")?,
        last: row.time("last")?,
    })
}

fn count(row: &Row, column: &'static str) -> Result<u64, Unreadable> {
    u64::try_from(row.int(column)?).map_err(|_| Unreadable(column))
}
