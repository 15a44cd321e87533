//! Writes through the Sentinel support of the crate `redis` until its input ends; says what was written, and who answered.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::sentinel::{SentinelClient, SentinelServerType};
use redis::{Commands, Connection, RedisError, RedisResult, Value, cmd};

fn main() -> Result<(), RedisError> {
    let mut words = std::env::args().skip(1);
    let (Some(key), Some(cluster)) = (words.next(), words.next()) else {
        panic!("a key, the cluster's name, and the nodes");
    };
    let nodes: Vec<String> = words.map(|node| format!("redis://{node}")).collect();
    let mut client = SentinelClient::build(nodes, cluster, None, SentinelServerType::Master)?;
    let ended = Arc::new(AtomicBool::new(false));
    let input = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        input.store(true, Ordering::Relaxed);
    });
    let (mut connection, mut number) = (None, 0);
    while !ended.load(Ordering::Relaxed) {
        number += 1;
        match write(&mut client, &mut connection, &key, number) {
            Ok(role) => println!("wrote {number} {role}"),
            Err(error) => {
                println!("failed {number} {error}");
                connection = None;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// As its users do: a connection from the client, and another one when it has failed.
fn write(
    client: &mut SentinelClient,
    connection: &mut Option<Connection>,
    key: &str,
    number: u64,
) -> RedisResult<String> {
    if connection.is_none() {
        *connection = Some(client.get_connection()?);
    }
    let connection = connection.as_mut().expect("just made");
    let () = connection.set(key, number)?;
    let role: Vec<Value> = cmd("ROLE").query(connection)?;
    redis::from_redis_value(role.into_iter().next().unwrap_or(Value::Nil)).map_err(RedisError::from)
}
