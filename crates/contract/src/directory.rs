//! A directory in memory for tests of handlers. It knows the rules that
//! decisions rest on (taken ids and addresses) and plays faults in order; what
//! Auth0 does beyond that is the simulator's.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::{Map, Value};

use ferry_domain::{
    ids::Auth0UserId,
    ports::{Connection, Directory, DirectoryError, DirectoryUser, NewUser, Silence},
};

use crate::directory_user;

/// Users in memory.
#[derive(Default)]
pub struct FakeDirectory {
    users: Mutex<BTreeMap<String, DirectoryUser>>,
    creates: Mutex<VecDeque<Fault>>,
    gets: Mutex<VecDeque<DirectoryError>>,
    sign_ins: Mutex<VecDeque<DirectoryError>>,
    requests: AtomicU64,
}

enum Fault {
    Instead(DirectoryError),
    AfterStoring(DirectoryError),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeDirectory {
    /// The next create answers so, and stores nothing.
    pub fn next_create_fails(&self, error: DirectoryError) {
        lock(&self.creates).push_back(Fault::Instead(error));
    }

    /// The next create stores the user, and its answer is lost.
    pub fn next_answer_is_lost(&self, error: DirectoryError) {
        lock(&self.creates).push_back(Fault::AfterStoring(error));
    }

    /// The next reading of an id answers so.
    pub fn next_get_fails(&self, error: DirectoryError) {
        lock(&self.gets).push_back(error);
    }

    /// The next sign-in answers so.
    pub fn next_sign_in_fails(&self, error: DirectoryError) {
        lock(&self.sign_ins).push_back(error);
    }

    /// Puts a user there.
    pub fn plant(&self, user: DirectoryUser) {
        lock(&self.users).insert(user.id.0.clone(), user);
    }

    /// All users by id.
    pub fn users(&self) -> Vec<DirectoryUser> {
        lock(&self.users).values().cloned().collect()
    }

    fn store(&self, new: &NewUser) -> Result<Auth0UserId, DirectoryError> {
        let mut users = lock(&self.users);
        let email = new.record.email.expose();
        let taken = |u: &DirectoryUser| u.connection == new.connection && u.email.as_deref() == Some(email);
        if users.contains_key(&new.id.0) || users.values().any(taken) {
            return Err(DirectoryError::Exists);
        }
        let mut app_metadata = new.record.app_metadata.clone();
        app_metadata.insert("ferry".into(), Value::Object(new.mark.clone()));
        let user = DirectoryUser {
            email: Some(email.to_owned()),
            email_verified: new.record.email_verified,
            connection: new.connection.clone(),
            name: new.record.name.clone(),
            given_name: new.record.given_name.clone(),
            family_name: new.record.family_name.clone(),
            nickname: new.record.nickname.clone(),
            picture: new.record.picture.clone(),
            blocked: new.record.blocked,
            user_metadata: new.record.user_metadata.clone(),
            app_metadata,
            ..directory_user(&new.id.0)
        };
        users.insert(new.id.0.clone(), user);
        Ok(new.id.clone())
    }
}

#[async_trait]
impl Directory for FakeDirectory {
    async fn create(&self, user: &NewUser) -> Result<Auth0UserId, DirectoryError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = lock(&self.creates).pop_front();
        match fault {
            Some(Fault::Instead(error)) => Err(error),
            Some(Fault::AfterStoring(error)) => self.store(user).and(Err(error)),
            None => self.store(user),
        }
    }

    async fn get(&self, id: &Auth0UserId) -> Result<Option<DirectoryUser>, DirectoryError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = lock(&self.gets).pop_front() {
            return Err(error);
        }
        Ok(lock(&self.users).get(&id.0).cloned())
    }

    async fn read_back(&self, id: &Auth0UserId) -> Result<Option<DirectoryUser>, DirectoryError> {
        self.get(id).await
    }

    async fn by_email(&self, email: &str) -> Result<Vec<DirectoryUser>, DirectoryError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(lock(&self.users).values().filter(|u| u.email.as_deref() == Some(email)).cloned().collect())
    }

    async fn update(
        &self,
        id: &Auth0UserId,
        fields: Map<String, Value>,
    ) -> Result<DirectoryUser, DirectoryError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut users = lock(&self.users);
        let user = users
            .get_mut(&id.0)
            .ok_or(DirectoryError::Refused { code: ferry_domain::Code::UserRefused, field: None })?;
        if let Some(Value::Object(more)) = fields.get("app_metadata") {
            user.app_metadata.extend(more.clone());
        }
        Ok(user.clone())
    }

    async fn delete(&self, id: &Auth0UserId) -> Result<(), DirectoryError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        lock(&self.users).remove(&id.0);
        Ok(())
    }

    async fn connection(&self, name: &str) -> Result<Option<Connection>, DirectoryError> {
        Ok(Some(Connection {
            id: "con_0000000000000001".into(),
            name: name.into(),
            strategy: "auth0".into(),
        }))
    }

    async fn sign_in(&self) -> Result<(), DirectoryError> {
        lock(&self.sign_ins).pop_front().map_or(Ok(()), Err)
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// It answers at once.
    fn silence(&self) -> Option<Silence> {
        None
    }
}
