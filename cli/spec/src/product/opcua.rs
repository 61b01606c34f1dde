//! The OPC UA applications of a product: who they are, and which security they speak.

use crate::decode::{Spanned, choice, model};
use crate::types::{ApplicationUri, Flag, Name, OpcuaTerm, Reason};

choice! {
    /// What an application is.
    pub enum OpcuaRole {
        /// Others connect to it.
        Server = "server",
        /// It connects to others.
        Client = "client",
    }
}

choice! {
    /// The library that an application is made with, whose settings are written.
    pub enum OpcuaStack {
        /// open62541: a small file that the application reads.
        Open62541 = "open62541",
        /// The OPC Foundation's .NET Standard stack: its XML configuration.
        DotnetStandard = "dotnet-standard",
        /// Another one: a table in JSON.
        Generic = "generic",
    }
}

model! {
    /// An OPC UA application on the device. Its private key is on the data partition, never in the image.
    pub struct OpcuaApplication {
        /// What it is.
        role: Spanned<OpcuaRole>,
        /// What it is made with.
        stack: Spanned<OpcuaStack>,
        /// Its URI. All devices share the image: a device's certificate says this URI, or one that goes on with `:…`.
        application_uri: Spanned<ApplicationUri>,
        /// The service whose conduits lead to the server, or from the client.
        service: Spanned<Name>,
        /// Message security modes; default, and the only one that is not refused: `SignAndEncrypt`.
        modes: Vec<Spanned<OpcuaTerm>> = Vec::new(),
        /// Security policies, the preferred one first; default: all of one kind of key that the stack has.
        policies: Vec<Spanned<OpcuaTerm>> = Vec::new(),
        /// How users prove who they are; default: `Certificate`.
        user_tokens: Vec<Spanned<OpcuaTerm>> = Vec::new(),
        /// Whether a server tells its endpoints to who asks without security, as most clients do first. No session opens.
        discovery: Flag = Flag(false),
        /// What it is for.
        reason: Spanned<Reason>,
    }
}
