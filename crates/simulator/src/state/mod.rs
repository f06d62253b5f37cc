//! The tenant in memory: users by id, and per connection an index by e-mail and by username.
//!
//! Everything here is plain data and runs under one lock, held for a lookup and a write; what is
//! slow (reading bodies, checking tokens, sleeping) happens outside.

mod changes;
mod connection;
mod user;
mod views;

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

pub(crate) use changes::UserChanges;
pub(crate) use connection::Connection;
pub(crate) use user::{NewUser, User};
pub use views::{PlantedUser, UserView};

use crate::clock::timestamp;
use crate::errors::ApiError;
use crate::ids::Ids;
use crate::password::PasswordPolicy;

/// The users and connections of the tenant.
pub(crate) struct Tenant {
    /// Sorted, so that a long listing can continue where it stopped.
    users: BTreeMap<String, User>,
    /// The first one is the connection named in the configuration.
    connections: Vec<Connection>,
    password_policy: PasswordPolicy,
    requires_username: bool,
}

impl Tenant {
    pub(crate) fn new(password_policy: PasswordPolicy, requires_username: bool) -> Self {
        Self { users: BTreeMap::new(), connections: Vec::new(), password_policy, requires_username }
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn add_connection(&mut self, id: String, name: &str, strategy: &str) {
        self.connections.push(Connection::new(
            id,
            name,
            strategy,
            self.password_policy,
            self.requires_username,
        ));
    }

    pub(crate) fn connections(&self) -> &[Connection] {
        &self.connections
    }

    pub(crate) fn connection(&self, name: &str) -> Option<&Connection> {
        self.connections.iter().find(|c| *c.name == *name)
    }

    fn connection_mut(&mut self, name: &str) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| *c.name == *name)
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    /// All users with exactly this address, whatever their connection. Ghosts are not found.
    pub(crate) fn users_by_email(&self, email: &str) -> impl Iterator<Item = &User> {
        self.connections
            .iter()
            .filter_map(|connection| connection.by_email.get(email))
            .filter_map(|id| self.users.get(id))
    }

    /// Up to `most` users whose id follows `after`, in the order of their ids.
    pub(crate) fn page(&self, after: Option<&str>, most: usize) -> Vec<UserView> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.users.range::<str, _>((from, Bound::Unbounded)).take(most).map(|(_, user)| user.view()).collect()
    }

    /// Creates a user as `POST /users` does; the body has passed its schema.
    pub(crate) fn create(&mut self, new: NewUser, ids: &Ids, now_ms: u64) -> Result<&User, ApiError> {
        let connection = self.connection(&new.connection).ok_or_else(ApiError::unknown_connection_name)?;
        connection.accepts(&new)?;
        let user = User::create(new, connection, ids, now_ms);
        let taken = self.users.contains_key(&user.user_id)
            || connection.knows_email(&user.email)
            || user.username.as_deref().is_some_and(|username| connection.by_username.contains_key(username));
        if taken {
            return Err(ApiError::user_exists());
        }
        Ok(self.insert(user))
    }

    /// Changes a user as `PATCH /users/{id}` does.
    pub(crate) fn update(&mut self, id: &str, changes: UserChanges, now_ms: u64) -> Result<&User, ApiError> {
        let user = self.users.get(id).ok_or_else(ApiError::unknown_user)?;
        let named = changes.connection().unwrap_or(&user.connection);
        self.connection(named).ok_or_else(ApiError::unknown_connection_name)?;
        let own = self.connection(&user.connection).ok_or_else(ApiError::unknown_connection_name)?;
        changes.allowed(user, own)?;
        let mut user = self.take(id).ok_or_else(ApiError::unknown_user)?;
        changes.apply(&mut user);
        user.updated_at = timestamp(now_ms).into();
        Ok(self.insert(user))
    }

    /// Removes a user; returns whether there was one.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        self.take(id).is_some()
    }

    /// Removes what has an address in a connection, ghosts included.
    pub(crate) fn remove_email(&mut self, connection_id: &str, email: &str) -> bool {
        let Some(connection) = self.connections.iter_mut().find(|c| c.id == connection_id) else {
            return false;
        };
        connection.ghosts.remove(email);
        if let Some(id) = connection.by_email.get(email).cloned() {
            self.take(&id);
        }
        true
    }

    /// Puts a user directly into the tenant, unchecked; one with the same id is replaced.
    pub(crate) fn plant(&mut self, planted: PlantedUser, ids: &Ids, now_ms: u64) -> Option<String> {
        let name = planted.connection.as_deref().unwrap_or(&self.connections.first()?.name);
        let connection = self.connection(name)?;
        let user = User::planted(planted, connection, ids, now_ms);
        self.take(&user.user_id.clone());
        Some(self.insert(user).user_id.clone())
    }

    /// Plants an address in the first connection that is taken although no user has it.
    pub(crate) fn plant_ghost(&mut self, email: &str) {
        if let Some(connection) = self.connections.first_mut() {
            connection.ghosts.insert(email.to_lowercase());
        }
    }

    /// Lets a closure rewrite a user; returns whether there was one. The id and the connection stay.
    pub(crate) fn change(&mut self, id: &str, change: impl FnOnce(&mut UserView)) -> bool {
        let Some(user) = self.users.get(id) else {
            return false;
        };
        // The closure runs while the tenant is still whole: it may panic in a failing test.
        let mut view = user.view();
        change(&mut view);
        if let Some(mut user) = self.take(id) {
            user.rewrite(view);
            self.insert(user);
        }
        true
    }

    fn insert(&mut self, user: User) -> &User {
        let id = user.user_id.clone();
        let name = Arc::clone(&user.connection);
        if let Some(connection) = self.connection_mut(&name) {
            connection.by_email.insert(user.email.clone(), id.clone());
            if let Some(username) = &user.username {
                connection.by_username.insert(username.clone(), id.clone());
            }
        }
        self.users.entry(id).insert_entry(user).into_mut()
    }

    fn take(&mut self, id: &str) -> Option<User> {
        let user = self.users.remove(id)?;
        let name = Arc::clone(&user.connection);
        if let Some(connection) = self.connection_mut(&name) {
            // A planted double may have the address by now: only this user's entry is removed.
            if connection.by_email.get(&user.email) == Some(&user.user_id) {
                connection.by_email.remove(&user.email);
            }
            if let Some(username) = &user.username {
                connection.by_username.remove(username);
            }
        }
        Some(user)
    }
}

/// Addresses that are taken without a user behind them.
pub(crate) type Ghosts = HashSet<String>;
