//! The identity provider tells who works here and who does not any more (SCIM 2.0, RFC 7643 and
//! 7644): the part of it that providers use to take people away.
//!
//! Nothing that a provider provisions lets anybody in, and nothing of it is believed of a person but
//! that they are switched on or off: who they are, their address and their groups are what a sign-in
//! says.

mod error;
mod filter;
mod patch;
mod token;
mod user;

use std::sync::Arc;

use attache_core::{
    Clock, IssuerId, Secret, UserId,
    store::{Handle, Person, Provisioned, ProvisioningStore, Resource},
};
use attache_crypto::random::{self, Random};

pub use self::{
    error::ScimError,
    filter::Filter,
    patch::Patch,
    token::ScimToken,
    user::{User, object},
};

/// People in one answer, whatever is asked for.
pub const MAX_PAGE: u32 = 100;

#[derive(Clone, Debug)]
pub struct ScimSettings {
    /// What the provider proves itself with.
    pub token: Secret,
    pub matched: Matched,
    /// Of a provider whose people are known by `oid`: the directory they are in.
    pub tenant: Option<String>,
    /// Whether who leaves is ended at their upstreams' providers, too, and erased when they are
    /// deleted.
    pub offboards: bool,
}

/// Which attribute is what a person is known by: the value of their subject claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    ExternalId,
    UserName,
}

/// The people of one identity provider, as it sees them.
#[derive(Debug)]
pub struct Directory {
    pub(crate) issuer: IssuerId,
    pub(crate) settings: ScimSettings,
    pub(crate) token: ScimToken,
    pub(crate) store: Arc<dyn ProvisioningStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// A page of people, and how many there are.
#[derive(Debug)]
pub struct Page {
    pub people: Vec<Resource>,
    pub total: u64,
}

impl Directory {
    pub fn token(&self) -> &ScimToken {
        &self.token
    }

    pub fn offboards(&self) -> bool {
        self.settings.offboards
    }

    pub async fn find(&self, id: &str) -> Result<Resource, ScimError> {
        let found = self.store.find(&self.issuer, &UserId::new(id)).await?;
        found.ok_or(ScimError::NotFound)
    }

    /// Those after the first `skipped`; at most [`MAX_PAGE`].
    pub async fn page(&self, skipped: u32, limit: u32) -> Result<Page, ScimError> {
        let limit = limit.min(MAX_PAGE);
        let (people, total) = self.store.page(&self.issuer, skipped, limit).await?;
        Ok(Page { people, total })
    }

    pub async fn search(&self, filter: &Filter) -> Result<Page, ScimError> {
        let (handle, value, attribute) = match filter {
            Filter::UserName(name) => (Handle::UserName(name), name, Matched::UserName),
            Filter::ExternalId(id) => (Handle::ExternalId(id), id, Matched::ExternalId),
            Filter::Id(id) => {
                let people = match self.find(id).await {
                    Ok(one) => vec![one],
                    Err(ScimError::NotFound) => Vec::new(),
                    Err(error) => return Err(error),
                };
                return Ok(Page { total: u64::from(!people.is_empty()), people });
            }
        };
        let subject = (attribute == self.settings.matched).then(|| self.subject(value));
        let people = self.store.find_by(&self.issuer, handle, subject.as_deref()).await?;
        Ok(Page { total: people.len() as u64, people })
    }

    /// Writes down somebody whom the provider creates: also one who signed in before, or whom it
    /// deleted.
    ///
    /// # Errors
    /// [`ScimError::Uniqueness`] when they, or somebody else of this `userName`, are there already.
    pub async fn create(&self, user: &User) -> Result<Resource, ScimError> {
        let user_name = user.user_name.as_deref().ok_or(ScimError::InvalidValue(NO_USER_NAME))?;
        let matched = match self.settings.matched {
            Matched::UserName => user_name,
            Matched::ExternalId => {
                user.external_id.as_deref().ok_or(ScimError::InvalidValue(NO_EXTERNAL_ID))?
            }
        };
        let subject = self.subject(matched);
        let (fresh, now) = (UserId::new(random::token(&*self.random)), self.clock.now());
        let known = self.store.enroll(&self.issuer, &subject, fresh, now).await?;
        if known.provisioned.user_name.is_some() {
            return Err(ScimError::Uniqueness);
        }
        let provisioned = Provisioned {
            user_name: Some(user_name.to_owned()),
            external_id: user.external_id.clone(),
            ..known.provisioned
        };
        self.write(known.person, provisioned).await
    }

    /// Writes down what the provider calls them from now on. What is not said stays.
    ///
    /// # Errors
    /// [`ScimError::Mutability`] when they would be somebody else by it.
    pub async fn rename(&self, known: Resource, user: &User) -> Result<Resource, ScimError> {
        let matched = match self.settings.matched {
            Matched::UserName => &user.user_name,
            Matched::ExternalId => &user.external_id,
        };
        if matched.as_deref().is_some_and(|said| self.subject(said) != known.person.subject) {
            return Err(ScimError::Mutability);
        }
        let Provisioned { user_name, external_id, switched_off } = known.provisioned;
        let provisioned = Provisioned {
            user_name: user.user_name.clone().or(user_name),
            external_id: user.external_id.clone().or(external_id),
            switched_off,
        };
        self.write_named(known.person, provisioned).await
    }

    /// Writes down that it is the provider, now, that keeps them off, or does not any more.
    pub async fn switched(&self, known: Resource, off: bool) -> Result<Resource, ScimError> {
        let person = Person { disabled: off, ..known.person };
        self.write_named(person, Provisioned { switched_off: off, ..known.provisioned }).await
    }

    /// Forgets what the provider called somebody that it deletes, who is `person` by now. It may
    /// bring back whom it switched off itself.
    pub async fn deleted(&self, known: &Resource, person: Person) -> Result<(), ScimError> {
        let switched_off = known.provisioned.switched_off || !known.person.disabled;
        let provisioned = Provisioned { user_name: None, external_id: None, switched_off };
        self.write(person, provisioned).await.map(drop)
    }

    /// Who is in the place of somebody who was erased.
    pub async fn barred(&self, erased: &Person) -> Result<Person, ScimError> {
        let (fresh, now) = (UserId::new(random::token(&*self.random)), self.clock.now());
        let found = self.store.enroll(&erased.issuer, &erased.subject, fresh, now).await?;
        Ok(found.person)
    }

    /// `userName` and `externalId` of a person, as far as they are known.
    pub fn names(&self, known: &Resource) -> (String, Option<String>) {
        let Provisioned { user_name, external_id, .. } = &known.provisioned;
        let matched = || self.matched(&known.person).to_owned();
        let is_id = self.settings.matched == Matched::ExternalId;
        let user_name = user_name.clone().unwrap_or_else(matched);
        (user_name, external_id.clone().or_else(|| is_id.then(matched)))
    }

    fn subject(&self, matched: &str) -> String {
        match &self.settings.tenant {
            Some(tenant) => format!("{tenant}:{matched}"),
            None => matched.to_owned(),
        }
    }

    fn matched<'a>(&self, person: &'a Person) -> &'a str {
        let tenant = self.settings.tenant.as_deref();
        let of_tenant = |tenant| person.subject.strip_prefix(tenant)?.strip_prefix(':');
        tenant.and_then(of_tenant).unwrap_or(&person.subject)
    }

    /// Who has no name there yet gets one that nobody else can have: switching them off never fails
    /// for a name.
    async fn write_named(
        &self,
        person: Person,
        provisioned: Provisioned,
    ) -> Result<Resource, ScimError> {
        let user_name = provisioned.user_name.or_else(|| Some(person.id.to_string()));
        self.write(person, Provisioned { user_name, ..provisioned }).await
    }

    async fn write(&self, person: Person, provisioned: Provisioned) -> Result<Resource, ScimError> {
        let now = self.clock.now();
        self.store.put(&person, &provisioned, now).await?;
        Ok(Resource { person, provisioned, updated_at: Some(now) })
    }
}

const NO_USER_NAME: &str = "userName is required";
const NO_EXTERNAL_ID: &str = "externalId is required: people are known by it here";
