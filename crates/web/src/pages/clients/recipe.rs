//! How each program is told of an MCP server, in its own words.

use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) client: &'static str,
    /// Where the text belongs.
    pub(super) place: &'static str,
    /// To be copied as it is.
    pub(super) text: String,
    pub(super) then: &'static str,
}

/// The most used first. A server's name has no character that a shell or JSON reads as its own.
pub(super) fn recipes(name: &str, url: &str) -> Vec<Recipe> {
    vec![
        Recipe {
            client: "Claude Code",
            place: "In a terminal:",
            text: format!("claude mcp add --transport http {name} {url}"),
            then: "Then type /mcp in Claude Code, choose it, and sign in.",
        },
        Recipe {
            client: "VS Code",
            place: "In .vscode/mcp.json:",
            text: pretty(&json!({ "servers": { name: { "type": "http", "url": url } } })),
            then: "Press Start above it. VS Code asks before it opens your browser to sign in.",
        },
        Recipe {
            client: "Cursor",
            place: "In ~/.cursor/mcp.json, or in .cursor/mcp.json of a project:",
            text: pretty(&json!({ "mcpServers": { name: { "url": url } } })),
            then: "Then open Cursor's settings, find it under MCP, and sign in.",
        },
        Recipe {
            client: "Codex",
            place: "In a terminal:",
            text: format!("codex mcp add {name} --url {url}\ncodex mcp login {name}"),
            then: "The second line opens your browser to sign in.",
        },
        Recipe {
            client: "MCP Inspector",
            place: "In a terminal:",
            text: "npx @modelcontextprotocol/inspector".to_owned(),
            then: "Choose Streamable HTTP, enter the address from above, and connect.",
        },
        Recipe {
            client: "TypeScript SDK",
            place: "With an access token in ATTACHE_TOKEN:",
            text: typescript(url),
            then: "",
        },
        Recipe {
            client: "Python SDK",
            place: "With an access token in ATTACHE_TOKEN:",
            text: python(url),
            then: "",
        },
    ]
}

/// Of a plain HTTP API.
pub(super) fn plain(url: &str) -> Vec<Recipe> {
    vec![Recipe {
        client: "curl",
        place: "With an access token in ATTACHE_TOKEN, and a path of the API at the end:",
        text: format!("curl -H \"Authorization: Bearer $ATTACHE_TOKEN\" {url}"),
        then: "Any HTTP client does: write this address where it had the API's own.",
    }]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn typescript(url: &str) -> String {
    format!(
        "import {{ Client }} from '@modelcontextprotocol/sdk/client/index.js';\n\
         import {{ StreamableHTTPClientTransport }} from '@modelcontextprotocol/sdk/client/streamableHttp.js';\n\n\
         const client = new Client({{ name: 'example', version: '1.0.0' }});\n\
         await client.connect(new StreamableHTTPClientTransport(new URL('{url}'), {{\n  \
         requestInit: {{ headers: {{ authorization: `Bearer ${{process.env.ATTACHE_TOKEN}}` }} }},\n\
         }}));"
    )
}

fn python(url: &str) -> String {
    format!(
        "import asyncio, os\n\
         import httpx2\n\
         from mcp import Client\n\
         from mcp.client.streamable_http import streamable_http_client\n\n\
         async def main():\n    \
         headers = {{\"authorization\": f\"Bearer {{os.environ['ATTACHE_TOKEN']}}\"}}\n    \
         async with httpx2.AsyncClient(headers=headers) as http:\n        \
         async with Client(streamable_http_client(\"{url}\", http_client=http)) as client:\n            \
         print(await client.list_tools())\n\n\
         asyncio.run(main())"
    )
}
