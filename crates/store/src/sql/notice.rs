//! What there is to tell of a credential, at most one thing, and whose turn it is to tell it.

use attache_core::{
    CredentialKey, Timestamp, UserId,
    audit::Reason,
    store::{Claim, News, NoticeStore, Planned, Result, Version},
};

use crate::db::{Db, Row, Unreadable, Value, values};

/// Where nothing is known there is nothing to forget.
const FORGET: &str = "
    UPDATE notice
    SET version = $3, news = NULL, reason = NULL, at = NULL, due_at = NULL, claimed_until = NULL,
        tries = 0
    WHERE user_id = $1 AND slot = $2 AND version < $3";

const PLAN: &str = "
    INSERT INTO notice (user_id, slot, version, news, reason, at, due_at, tries)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
    ON CONFLICT (user_id, slot) DO UPDATE
    SET version = excluded.version, news = excluded.news, reason = excluded.reason,
        at = excluded.at, due_at = excluded.due_at, claimed_until = NULL, tries = 0
    WHERE notice.version < excluded.version
        AND (notice.news IS NULL OR notice.news <> excluded.news OR notice.at <> excluded.at)";

/// The same news of a later version.
const CONFIRM: &str = "
    UPDATE notice SET version = $3
    WHERE user_id = $1 AND slot = $2 AND version < $3 AND news = $4 AND at = $5";

/// Of two who choose the same row the second finds it claimed, and comes back.
const CLAIM: &str = "
    UPDATE notice SET claimed_until = $3, tries = tries + 1
    WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $2)
        AND (user_id, slot) = (
            SELECT user_id, slot FROM notice
            WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $2)
            ORDER BY due_at LIMIT 1)
    RETURNING user_id, slot, version, news, reason, at, tries";

const END_CLAIM: &str = "
    UPDATE notice SET due_at = $6, claimed_until = NULL
    WHERE user_id = $1 AND slot = $2 AND news = $3 AND at = $4 AND claimed_until = $5";

#[async_trait::async_trait]
impl NoticeStore for Db {
    async fn plan(
        &self,
        key: &CredentialKey,
        version: Version,
        planned: Option<Planned>,
    ) -> Result<()> {
        let slot = key.slot.to_string();
        let Some(Planned { news, due_at }) = planned else {
            return self.execute(FORGET, values![&key.user, &slot, version]).await.map(drop);
        };
        let (word, at, reason) = words(news);
        let fresh = values![&key.user, &slot, version, word, reason, at, due_at];
        if self.execute(PLAN, fresh).await? == 0 {
            self.execute(CONFIRM, values![&key.user, &slot, version, word, at]).await?;
        }
        Ok(())
    }

    async fn claim(
        &self,
        due: Timestamp,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>> {
        let rows = self.write(CLAIM, values![due, now, until]).await?;
        rows.first().map(|row| claim(row, until)).transpose()
    }

    async fn settle(&self, claim: &Claim) -> Result<()> {
        self.end_claim(claim, None).await
    }

    async fn postpone(&self, claim: &Claim, due_at: Timestamp) -> Result<()> {
        self.end_claim(claim, Some(due_at)).await
    }
}

impl Db {
    async fn end_claim(&self, claim: &Claim, due_at: Option<Timestamp>) -> Result<()> {
        let slot = claim.key.slot.to_string();
        let (word, at, _) = words(claim.news);
        let values: &[Value<'_>] = values![&claim.key.user, &slot, word, at, claim.until, due_at];
        self.execute(END_CLAIM, values).await.map(drop)
    }
}

fn claim(row: &Row, until: Timestamp) -> Result<Claim> {
    let read = || {
        let at = row.time("at")?;
        let reason = row.maybe_word("reason", Reason::parse)?;
        Ok::<_, Unreadable>(Claim {
            key: CredentialKey {
                user: UserId::new(row.text("user_id")?),
                slot: row.text("slot")?.parse().map_err(|_| Unreadable("slot"))?,
            },
            version: Version(row.int("version")?),
            news: match (row.text("news")?.as_str(), reason) {
                (ENDING, None) => News::Ending { at },
                (ENDED, Some(reason)) => News::Ended { at, reason },
                _ => return Err(Unreadable("news")),
            },
            tries: u32::try_from(row.int("tries")?).unwrap_or(u32::MAX),
            until,
        })
    };
    read().map_err(|unreadable| unreadable.of("notice", row.text("user_id").unwrap_or_default()))
}

const ENDING: &str = "ending";
const ENDED: &str = "ended";

fn words(news: News) -> (&'static str, Timestamp, Option<&'static str>) {
    match news {
        News::Ending { at } => (ENDING, at, None),
        News::Ended { at, reason } => (ENDED, at, Some(reason.as_str())),
    }
}
