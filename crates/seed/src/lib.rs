//! The MedLogistics example application and its planted cases.
