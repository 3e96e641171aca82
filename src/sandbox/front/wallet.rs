//! The wallet that the sandbox puts into the browser: each user of the local Discord has one.
use std::sync::Arc;

use alloy::hex;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use axum::Json;
use axum::extract::State;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Front;
use crate::domain::UserId;
use crate::sandbox::chain;
use crate::sandbox::discord::oauth::visitor::visitor;

/// A user's wallet: the same key every time; the merchant's is the one that owns the module.
pub(in crate::sandbox) fn wallet(user: UserId, merchant: UserId) -> PrivateKeySigner {
    if user == merchant {
        chain::wallet("merchant")
    } else {
        chain::wallet(&format!("member {user}"))
    }
}

/// A request of EIP-1193.
#[derive(Deserialize)]
pub(super) struct Asked {
    method: String,
    #[serde(default)]
    params: Vec<Value>,
}

/// EIP-1193: the user refused, or the method is not one of this wallet's.
const UNSUPPORTED: i32 = 4200;
const UNAUTHORIZED: i32 = 4100;

fn failure(code: i32, message: &str) -> (StatusCode, Json<Value>) {
    let error = json!({ "error": { "code": code, "message": message } });
    (StatusCode::BAD_REQUEST, Json(error))
}

/// `POST /sandbox/wallet`: what a page asks of the visitor's wallet.
pub(super) async fn answer(
    State(front): State<Arc<Front>>,
    headers: HeaderMap,
    Json(asked): Json<Asked>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    let own = host.map(|host| format!("http://{host}"));
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    if origin.is_some_and(|origin| Some(origin) != own.as_deref()) {
        return Err(failure(UNAUTHORIZED, "Another site asked for this."));
    }
    let user = visitor(&headers).filter(|user| front.discord.has_user(*user));
    let Some(user) = user else {
        let why =
            "The sandbox's wallet knows who you are once you have signed in to the local Discord.";
        return Err(failure(UNAUTHORIZED, why));
    };
    let key = wallet(user, front.merchant);
    let result = match asked.method.as_str() {
        "eth_chainId" => json!(format!("{:#x}", front.chain_id)),
        "net_version" => json!(front.chain_id.to_string()),
        "eth_accounts" | "eth_requestAccounts" => json!([key.address()]),
        "personal_sign" => json!(sign(&key, &asked.params)?),
        "wallet_switchEthereumChain" | "wallet_addEthereumChain" => Value::Null,
        other => {
            let why = format!("The sandbox's wallet does not know {other}.");
            return Err(failure(UNSUPPORTED, &why));
        }
    };
    Ok(Json(json!({ "result": result })))
}

/// EIP-191, of a text given as it is or in hexadecimal, as wallets take both.
fn sign(key: &PrivateKeySigner, params: &[Value]) -> Result<String, (StatusCode, Json<Value>)> {
    let text = params.first().and_then(Value::as_str);
    let text = text.ok_or_else(|| failure(UNSUPPORTED, "There is nothing to sign."))?;
    let bytes = match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).unwrap_or_else(|_| text.as_bytes().to_vec()),
        None => text.as_bytes().to_vec(),
    };
    let signature = key
        .sign_message_sync(&bytes)
        .map_err(|error| failure(UNSUPPORTED, &error.to_string()))?;
    Ok(signature.to_string())
}
