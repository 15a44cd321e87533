//! What needs the types of Kubernetes: they take minutes to build, so this is a package of its own, outside of the workspace.

use std::fs;
use std::path::Path;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The keys of `written` that are lost when `T` reads and writes it: those that it does not know.
fn unknown_keys<T: DeserializeOwned + Serialize>(written: &Value) -> Vec<String> {
    let read: T = serde_json::from_value(written.clone()).unwrap_or_else(|error| panic!("{error}"));
    let again = serde_json::to_value(read).unwrap_or_else(|error| panic!("{error}"));
    let mut lost = Vec::new();
    compare(written, &again, "", &mut lost);
    lost
}

fn compare(written: &Value, again: &Value, at: &str, lost: &mut Vec<String>) {
    match (written, again) {
        (Value::Object(written), Value::Object(again)) => {
            for (key, value) in written {
                match again.get(key) {
                    Some(again) => compare(value, again, &format!("{at}.{key}"), lost),
                    None => lost.push(format!("{at}.{key}")),
                }
            }
        }
        (Value::Array(written), Value::Array(again)) if written.len() == again.len() => {
            for (index, (written, again)) in written.iter().zip(again).enumerate() {
                compare(written, again, &format!("{at}[{index}]"), lost);
            }
        }
        (written, again) => {
            if written != again {
                lost.push(at.to_owned());
            }
        }
    }
}

#[test]
fn kubernetes_knows_every_key_of_the_manifests() {
    let documents = documents(&read("kubernetes.yaml"));
    let [claim, job] = &documents[..] else {
        panic!("{documents:?}")
    };
    assert_eq!(
        (&claim["kind"], &job["kind"]),
        (&"PersistentVolumeClaim".into(), &"Job".into())
    );
    assert_eq!(unknown_keys::<PersistentVolumeClaim>(claim), Vec::<String>::new());
    assert_eq!(unknown_keys::<Job>(job), Vec::<String>::new());
    let completions = &job["spec"]["completions"];
    let command = command_of(job);
    assert!(command.contains(&format!("/{completions}\"")), "{command}");
}

#[test]
fn an_unknown_key_of_a_manifest_is_noticed() {
    let mut job = documents(&read("kubernetes.yaml")).remove(1);
    job["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = Value::Array(Vec::new());
    assert_eq!(
        unknown_keys::<Job>(&job),
        [".spec.template.spec.containers[0].volumeMount"]
    );
}

/// The command of the only container of a job.
fn command_of(job: &Value) -> String {
    let command = &job["spec"]["template"]["spec"]["containers"][0]["command"];
    command[2]
        .as_str()
        .unwrap_or_else(|| panic!("{command}"))
        .to_owned()
}

#[test]
fn the_matrix_of_the_workflow_is_all_shards() {
    let workflow = documents(&read("github-actions.yml")).remove(0);
    let shards = &workflow["jobs"]["shard"]["strategy"]["matrix"]["shard"];
    let count = workflow["env"]["SHARDS"].as_u64().unwrap_or(0);
    let wanted: Vec<u64> = (1..=count).collect();
    assert_eq!(*shards, serde_json::json!(wanted));
}
