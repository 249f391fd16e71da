use std::sync::{Arc, Mutex};

use attache_core::{
    Clock, CredentialKey, Slot, Timestamp, UserId,
    audit::AuditEvent,
    store::{
        AuditStore, CredentialStore, DataKeyStore, Lease, Leased, Record, Result, StoreError,
        Stored, Stores, Version, WrappedKey,
    },
};

use super::gate::{Gate, Held, gate};

/// A store with a cable to cut.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    credentials: Arc<dyn CredentialStore>,
    data_keys: Arc<dyn DataKeyStore>,
    audit: Arc<dyn AuditStore>,
    /// The database server's.
    clock: Arc<dyn Clock>,
    faults: Mutex<Vec<(Operation, Fault)>>,
    calls: Mutex<Vec<Operation>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Find,
    Put,
    Remove,
    List,
    Lease,
    Commit,
    Release,
    Append,
    FindKey,
    InsertKey,
    RemoveKey,
}

#[derive(Debug)]
enum Fault {
    Refuse,
    LoseAnswer,
    HoldCall(Gate),
    HoldAnswer(Gate),
}

impl FaultyStore {
    pub(crate) fn new(stores: &Stores, clock: Arc<dyn Clock>) -> Self {
        Self {
            credentials: Arc::clone(&stores.credentials),
            data_keys: Arc::clone(&stores.data_keys),
            audit: Arc::clone(&stores.audit),
            clock,
            faults: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// The next `times` calls do nothing and fail.
    pub(crate) fn refuse(&self, operation: Operation, times: usize) {
        for _ in 0..times {
            self.fault(operation, Fault::Refuse);
        }
    }

    /// The next call does its work and fails all the same.
    pub(crate) fn lose_answer(&self, operation: Operation) {
        self.fault(operation, Fault::LoseAnswer);
    }

    /// The next call does nothing until released.
    pub(crate) fn hold_call(&self, operation: Operation) -> Held {
        let (held, gate) = gate();
        self.fault(operation, Fault::HoldCall(gate));
        held
    }

    /// The next call does its work and does not come back until released.
    pub(crate) fn hold_answer(&self, operation: Operation) -> Held {
        let (held, gate) = gate();
        self.fault(operation, Fault::HoldAnswer(gate));
        held
    }

    /// How often the store was asked for it.
    pub(crate) fn calls(&self, operation: Operation) -> usize {
        let calls = self.calls.lock().expect("no test panicked here");
        calls.iter().filter(|at| **at == operation).count()
    }

    pub(crate) fn every_call(&self) -> Vec<Operation> {
        self.calls.lock().expect("no test panicked here").clone()
    }

    pub(crate) fn mend(&self) {
        self.faults.lock().expect("no test panicked here").clear();
    }

    fn fault(&self, operation: Operation, fault: Fault) {
        self.faults.lock().expect("no test panicked here").push((operation, fault));
    }

    fn next_fault(&self, operation: Operation) -> Option<Fault> {
        let mut faults = self.faults.lock().expect("no test panicked here");
        let next = faults.iter().position(|(at, _)| *at == operation)?;
        Some(faults.remove(next).1)
    }

    async fn through<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.calls.lock().expect("no test panicked here").push(operation);
        match self.next_fault(operation) {
            None => work.await,
            Some(Fault::Refuse) => Err(StoreError::Unavailable("the cable is cut".into())),
            Some(Fault::LoseAnswer) => {
                work.await?;
                Err(StoreError::Unavailable("the cable was cut meanwhile".into()))
            }
            Some(Fault::HoldCall(gate)) => {
                gate.wait().await;
                work.await
            }
            Some(Fault::HoldAnswer(gate)) => {
                let answer = work.await;
                gate.wait().await;
                answer
            }
        }
    }
}

#[async_trait::async_trait]
impl CredentialStore for FaultyStore {
    async fn now(&self, _here: Timestamp) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn find(&self, key: &CredentialKey) -> Result<Option<Stored>> {
        self.through(Operation::Find, self.credentials.find(key)).await
    }

    async fn find_with_key(
        &self,
        key: &CredentialKey,
    ) -> Result<Option<(Stored, Option<WrappedKey>)>> {
        self.through(Operation::Find, self.credentials.find_with_key(key)).await
    }

    async fn put(
        &self,
        key: &CredentialKey,
        record: &Record,
        replaces: Option<Version>,
    ) -> Result<()> {
        self.through(Operation::Put, self.credentials.put(key, record, replaces)).await
    }

    async fn remove(&self, key: &CredentialKey) -> Result<Option<Stored>> {
        self.through(Operation::Remove, self.credentials.remove(key)).await
    }

    async fn list(&self, user: &UserId) -> Result<Vec<(Slot, Stored)>> {
        self.through(Operation::List, self.credentials.list(user)).await
    }

    async fn lease(
        &self,
        key: &CredentialKey,
        seen: Version,
        holder: [u8; 16],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Leased> {
        let work = self.credentials.lease(key, seen, holder, now, until);
        self.through(Operation::Lease, work).await
    }

    async fn commit(&self, lease: &Lease, record: &Record) -> Result<()> {
        self.through(Operation::Commit, self.credentials.commit(lease, record)).await
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        self.through(Operation::Release, self.credentials.release(lease)).await
    }

    async fn interrupt(&self, lease: &Lease) -> Result<()> {
        self.through(Operation::Release, self.credentials.interrupt(lease)).await
    }
}

#[async_trait::async_trait]
impl DataKeyStore for FaultyStore {
    async fn find(&self, user: &UserId) -> Result<Option<WrappedKey>> {
        self.through(Operation::FindKey, self.data_keys.find(user)).await
    }

    async fn insert(
        &self,
        user: &UserId,
        fresh: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey> {
        self.through(Operation::InsertKey, self.data_keys.insert(user, fresh, now)).await
    }

    async fn remove(&self, user: &UserId, old: &WrappedKey) -> Result<()> {
        self.through(Operation::RemoveKey, self.data_keys.remove(user, old)).await
    }
}

#[async_trait::async_trait]
impl AuditStore for FaultyStore {
    async fn append(&self, batch: &[AuditEvent]) -> Result<()> {
        self.through(Operation::Append, self.audit.append(batch)).await
    }

    async fn list(&self, user: Option<&UserId>, limit: u32) -> Result<Vec<AuditEvent>> {
        self.audit.list(user, limit).await
    }
}
