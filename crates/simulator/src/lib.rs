//! Auth0 as a local server, for tests, rehearsals and the demo.
