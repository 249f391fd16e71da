use attache_core::{
    UserId,
    store::{Person, PersonStore as _, Result, Roster},
};

use super::person::{REMOVE, person};
use crate::db::{Db, Statement, values};

const PAGE: &str = "
    SELECT id, issuer, subject, email, name, groups, disabled, created_at,
        last_signed_in_at
    FROM person WHERE id > $1 ORDER BY id LIMIT $2";

const SEARCH: &str = "
    SELECT id, issuer, subject, email, name, groups, disabled, created_at,
        last_signed_in_at
    FROM person
    WHERE id > $1 AND (lower(email) LIKE $3 ESCAPE '!' OR lower(name) LIKE $3 ESCAPE '!'
        OR subject = $4 OR id = $4)
    ORDER BY id LIMIT $2";

/// One is an answer, two are enough to say that it is none.
const FIND_BY_EMAIL: &str = "
    SELECT id, issuer, subject, email, name, groups, disabled, created_at,
        last_signed_in_at
    FROM person WHERE lower(email) = lower($1) ORDER BY id LIMIT 2";

const SWITCH_OFF: &str = "UPDATE person SET disabled = TRUE WHERE id = $1";

const SWITCH_ON: &str = "UPDATE person SET disabled = FALSE WHERE id = $1";

/// Whoever switches last decides who may switch on again: where it is the identity provider, it notes
/// that after this.
const FORGET_PROVIDER: &str = "UPDATE provisioned SET switched_off = FALSE WHERE user_id = $1";

/// What lets somebody in without their issuer, in the order of the migrations. Only of who is off.
const END: [&str; 3] = [
    "DELETE FROM session WHERE user_id IN
        (SELECT id FROM person WHERE id = $1 AND disabled = TRUE)",
    "DELETE FROM oauth_grant WHERE user_id IN
        (SELECT id FROM person WHERE id = $1 AND disabled = TRUE)",
    "DELETE FROM personal_token WHERE user_id IN
        (SELECT id FROM person WHERE id = $1 AND disabled = TRUE)",
];

const INSERT_BARRED: &str = "
    INSERT INTO person (id, issuer, subject, groups, disabled, created_at)
    VALUES ($1, $2, $3, '[]', TRUE, $4)";

#[async_trait::async_trait]
impl Roster for Db {
    async fn page(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<Person>> {
        let after = after.map_or("", UserId::as_str);
        self.read(PAGE, values![after, limit]).await?.iter().map(person).collect()
    }

    async fn search(&self, text: &str, after: Option<&UserId>, limit: u32) -> Result<Vec<Person>> {
        let after = after.map_or("", UserId::as_str);
        let pattern = anywhere(text);
        let values = values![after, limit, pattern.as_str(), text];
        self.read(SEARCH, values).await?.iter().map(person).collect()
    }

    async fn find_by_email(&self, email: &str) -> Result<Vec<Person>> {
        self.read(FIND_BY_EMAIL, values![email]).await?.iter().map(person).collect()
    }

    async fn switch(&self, id: &UserId, disabled: bool) -> Result<bool> {
        let whose = values![id];
        let step = |sql| Statement { sql, values: whose };
        // Also before somebody is let in again: whatever switched them off, or began meanwhile.
        let steps: Vec<_> = if disabled {
            [SWITCH_OFF, FORGET_PROVIDER].into_iter().chain(END).map(step).collect()
        } else {
            END.into_iter().chain([FORGET_PROVIDER, SWITCH_ON]).map(step).collect()
        };
        self.execute_all(&steps).await?;
        Ok(self.find(id).await?.is_some())
    }

    async fn bar(&self, person: &Person, fresh: UserId) -> Result<()> {
        let Person { id, issuer, subject, created_at, .. } = person;
        let subject = subject.as_str();
        self.execute_all(&[
            Statement { sql: REMOVE, values: values![id] },
            Statement { sql: INSERT_BARRED, values: values![&fresh, issuer, subject, *created_at] },
        ])
        .await
    }
}

/// A pattern for what has this text in it, whatever its case, where `!` takes a sign's meaning away.
fn anywhere(text: &str) -> String {
    let mut pattern = String::from("%");
    for sign in text.to_lowercase().chars() {
        if matches!(sign, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(sign);
    }
    pattern.push('%');
    pattern
}
