//! The calls of the port `Directory`.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use ferry_domain::{
    Auth0UserId, Code,
    figures::Operation,
    ports::{self, Directory, DirectoryError, DirectoryUser, Group, NewUser, Silence},
};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    classify::{self, classify},
    client::Auth0,
    throttle::{Answer, Call},
    wire,
};

const USERS: &str = "/api/v2/users";
const USER: &str = "/api/v2/users/{id}";
const USERS_BY_EMAIL: &str = "/api/v2/users-by-email";
const CONNECTIONS: &str = "/api/v2/connections";

#[async_trait]
impl Directory for Auth0 {
    async fn create(&self, user: &NewUser) -> Result<Auth0UserId, DirectoryError> {
        let body = json(&wire::NewUser::from(user))?;
        let answer = self.send(Call {
            group: Group::UserWrites,
            operation: Operation::CreateUser,
            method: Method::POST,
            url: self.urls.users.clone(),
            template: USERS,
            body: Some(body),
        });
        read::<wire::Created>(answer.await?).map(|made| Auth0UserId(made.user_id))
    }

    async fn get(&self, id: &Auth0UserId) -> Result<Option<DirectoryUser>, DirectoryError> {
        self.get_as(Group::UserReads, id).await
    }

    async fn read_back(&self, id: &Auth0UserId) -> Result<Option<DirectoryUser>, DirectoryError> {
        self.get_as(Group::ReadBack, id).await
    }

    async fn by_email(&self, email: &str) -> Result<Vec<DirectoryUser>, DirectoryError> {
        let mut url = self.urls.users_by_email.clone();
        url.query_pairs_mut().append_pair("email", &email.trim().to_lowercase());
        let answer = self.send(Call {
            group: Group::UserReads,
            operation: Operation::SearchUsers,
            method: Method::GET,
            url,
            template: USERS_BY_EMAIL,
            body: None,
        });
        let users: Vec<wire::User> = read(answer.await?)?;
        Ok(users.into_iter().map(Into::into).collect())
    }

    async fn update(
        &self,
        id: &Auth0UserId,
        fields: Map<String, Value>,
    ) -> Result<DirectoryUser, DirectoryError> {
        let answer = self.send(Call {
            group: Group::UserWrites,
            operation: Operation::UpdateUser,
            method: Method::PATCH,
            url: self.user_url(id)?,
            template: USER,
            body: Some(json(&fields)?),
        });
        read::<wire::User>(answer.await?).map(Into::into)
    }

    async fn delete(&self, id: &Auth0UserId) -> Result<(), DirectoryError> {
        let answer = self.send(Call {
            group: Group::UserWrites,
            operation: Operation::DeleteUser,
            method: Method::DELETE,
            url: self.user_url(id)?,
            template: USER,
            body: None,
        });
        let answer = answer.await?;
        let gone = matches!(answer.status, 200..=299) || classify::is_no_user(answer.status, &answer.body);
        if gone { Ok(()) } else { Err(classify(answer.status, &answer.body)) }
    }

    async fn connection(&self, name: &str) -> Result<Option<ports::Connection>, DirectoryError> {
        let mut url = self.urls.connections.clone();
        // Without totals and `take` the answer is a plain array (FACTS §2.5).
        url.query_pairs_mut().append_pair("name", name).append_pair("fields", "id,name,strategy");
        let answer = self.send(Call {
            group: Group::Rest,
            operation: Operation::GetConnections,
            method: Method::GET,
            url,
            template: CONNECTIONS,
            body: None,
        });
        let found: Vec<wire::Connection> = read(answer.await?)?;
        Ok(found.into_iter().find(|connection| connection.name == name).map(|connection| ports::Connection {
            id: connection.id,
            name: connection.name,
            strategy: connection.strategy,
        }))
    }

    async fn sign_in(&self) -> Result<(), DirectoryError> {
        self.authenticate().await?;
        Ok(())
    }

    fn silence(&self) -> Option<Silence> {
        self.unanswered.silence()
    }

    /// Requests to the Management API; those for tokens go to another API with a limit of its own.
    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Auth0 {
    async fn get_as(&self, group: Group, id: &Auth0UserId) -> Result<Option<DirectoryUser>, DirectoryError> {
        let answer = self.send(Call {
            group,
            operation: Operation::GetUser,
            method: Method::GET,
            url: self.user_url(id)?,
            template: USER,
            body: None,
        });
        let answer = answer.await?;
        if classify::is_no_user(answer.status, &answer.body) {
            return Ok(None);
        }
        read::<wire::User>(answer).map(|user| Some(user.into()))
    }

    /// An id without provider would be another path: the list of all users, say.
    fn user_url(&self, id: &Auth0UserId) -> Result<Url, DirectoryError> {
        if !id.0.contains('|') {
            return Err(DirectoryError::Refused {
                code: Code::UserRefused,
                field: Some("user_id".to_owned()),
            });
        }
        let mut url = self.urls.users.clone();
        url.set_path(&format!("{}/{}", self.urls.users.path(), percent_encoded(&id.0)));
        Ok(url)
    }
}

/// All but the unreserved characters of RFC 3986: `auth0|1` becomes `auth0%7C1`.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            // Writing to a String can't fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, DirectoryError> {
    // Can't fail: string keys and plain values only. If it did, nothing was sent.
    serde_json::to_vec(value).map_err(|_| DirectoryError::NotSent(Code::AnswerUnreadable))
}

/// The body of a 2xx, or the table's meaning of any other answer. A 2xx whose body can't
/// be read may have done what was asked.
fn read<T: DeserializeOwned>(answer: Answer) -> Result<T, DirectoryError> {
    if !matches!(answer.status, 200..=299) {
        return Err(classify(answer.status, &answer.body));
    }
    serde_json::from_slice(&answer.body).map_err(|_| DirectoryError::Unknown(Code::AnswerUnreadable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_encoded_so_that_it_stays_one_segment() {
        assert_eq!(percent_encoded("auth0|a-1_~.b"), "auth0%7Ca-1_~.b");
        assert_eq!(percent_encoded("auth0|a/../b?c#d%é"), "auth0%7Ca%2F..%2Fb%3Fc%23d%25%C3%A9");
    }
}
