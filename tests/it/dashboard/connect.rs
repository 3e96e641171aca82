//! The page to which `/connect` leads.

use super::forms::page;
use crate::support::shop::Shop;
use crate::verify::visitor::location;

#[tokio::test]
async fn who_connects_a_server_that_is_connected_is_told_so_on_its_page() {
    let shop = Shop::open().await;
    let mut browser = shop.signed_in(shop.merchant).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let connect = format!("/connect?guild_id={}", shop.guild);
        let away = location(&browser.get(&connect).await);
        let back = browser.visit_discord(&away, shop.merchant).await;
        let home = location(&browser.get(&back).await);
        let text = page(&mut browser, &home).await;
        told.push(text.contains("This server was connected already"));
    }
    assert_eq!(told, [false, true]);
    let servers = page(&mut browser, "/dashboard").await;
    assert!(servers.contains("No plan gives a role yet"), "{servers}");
}
