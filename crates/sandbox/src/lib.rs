//! A small world to try things in: an identity provider, an authorization server, an MCP server and an API that behave, or misbehave, on request
