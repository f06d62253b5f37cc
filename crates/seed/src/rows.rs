//! The rows of the four tables, as the application sees them.

use std::fmt;

/// A row of `hospitals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hospital {
    /// Primary key, from 1.
    pub id: u64,
    /// `H-01`, `H-02` …
    pub code: String,
    /// Display name.
    pub name: String,
    /// Closed; keeps its wards, has no users.
    pub retired: bool,
}

/// The 3rd, 13th, 23rd … hospital is closed: never the first, never two in a row.
pub(crate) fn is_retired(hospital_id: u64) -> bool {
    hospital_id % 10 == 3
}

/// A row of `wards`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ward {
    /// Primary key: ten times the hospital's id plus the ward's number (1 to 8).
    pub id: u64,
    /// The hospital it belongs to.
    pub hospital_id: u64,
    /// `W1` to `W8`, unique in its hospital.
    pub code: String,
    /// Display name.
    pub name: &'static str,
}

/// What a user does in the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Manages users and approves orders.
    Admin,
    /// Writes orders.
    Doctor,
    /// Confirms deliveries.
    Nurse,
    /// Dispenses stock.
    Pharmacist,
    /// Plans deliveries.
    Logistics,
    /// Reads the audit.
    Auditor,
}

impl Role {
    /// The value in column `role`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Doctor => "doctor",
            Role::Nurse => "nurse",
            Role::Pharmacist => "pharmacist",
            Role::Logistics => "logistics",
            Role::Auditor => "auditor",
        }
    }

    /// The permissions that come with the role, in byte order.
    pub fn permissions(self) -> &'static [&'static str] {
        match self {
            Role::Admin => &["orders:approve", "orders:read", "users:manage"],
            Role::Doctor => &["orders:read", "orders:write"],
            Role::Nurse => &["deliveries:confirm", "orders:read"],
            Role::Pharmacist => &["orders:read", "stock:dispense"],
            Role::Logistics => &["deliveries:plan", "stock:read"],
            Role::Auditor => &["audit:read"],
        }
    }
}

/// A row of `users`.
///
/// `Debug` leaves out address, name and API key, so that a stray log line in a
/// test looks like one in production must.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Primary key, from 1.
    pub id: u64,
    /// Address, as it was typed in years ago.
    pub email: Option<String>,
    /// Full name.
    pub name: String,
    /// Decides the permissions.
    pub role: Role,
    /// The hospital where the user works.
    pub hospital_id: u64,
    /// The ward, for users that work on one.
    pub ward_id: Option<u64>,
    /// Whether the user still works here.
    pub active: bool,
    /// Whether an administrator blocked the user.
    pub blocked: bool,
    /// `mlk_` and 40 hexadecimal digits.
    pub api_key: String,
    /// Seconds since 1970, UTC.
    pub created_at: i64,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("role", &self.role)
            .field("hospital_id", &self.hospital_id)
            .field("active", &self.active)
            .field("blocked", &self.blocked)
            .finish_non_exhaustive()
    }
}

/// A row of `permissions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// The user who has it.
    pub user_id: u64,
    /// The hospital in which it holds.
    pub hospital_id: u64,
    /// What it allows, such as `orders:read`.
    pub permission: &'static str,
}

/// An account that must be in the Auth0 tenant before the migration starts.
///
/// `Debug` leaves out address and name.
#[derive(Clone, PartialEq, Eq)]
pub struct ExistingUser {
    /// The row of `users` with the same address.
    pub user_id: u64,
    /// Address, lower-cased as Auth0 keeps it.
    pub email: String,
    /// Whether the address is verified at Auth0.
    pub email_verified: bool,
    /// Full name.
    pub name: String,
}

impl fmt::Debug for ExistingUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExistingUser")
            .field("user_id", &self.user_id)
            .field("email_verified", &self.email_verified)
            .finish_non_exhaustive()
    }
}
