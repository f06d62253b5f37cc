//! Client for the Auth0 Management API.
