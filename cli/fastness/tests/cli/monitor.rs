//! `monitor`: what it prints, the layer that it writes, what it refuses, exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::Place;

fn write(root: &Path, path: &str, mode: u32, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
}

/// A root with one service of systemd's, and one that BusyBox starts.
fn place() -> Place {
    let place = Place::new();
    for name in ["root", "busybox"] {
        let root = place.path(name);
        write(&root, "etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
        write(&root, "etc/shadow", 0o600, "root:*:1::::::\n");
        write(&root, "etc/os-release", 0o644, "ID=x\n");
        write(&root, "usr/sbin/serve", 0o755, "#!/bin/sh\nexec sleep 1\n");
        write(&root, "usr/bin/su", 0o4755, "#!/bin/sh\n");
    }
    let root = place.path("root");
    let unit = "[Unit]\nDescription=x\n[Service]\nExecStart=/usr/sbin/serve\n[Install]\nWantedBy=multi-user.target\n";
    write(&root, "usr/lib/systemd/system/serve.service", 0o644, unit);
    write(&root, "usr/lib/systemd/system/multi-user.target", 0o644, "[Unit]\nDescription=x\n");
    write(&root, "usr/lib/systemd/system/default.target", 0o644, "[Unit]\nRequires=multi-user.target\n");
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).expect("a folder");
    std::os::unix::fs::symlink("/usr/lib/systemd/system/serve.service", wants.join("serve.service"))
        .expect("a link");
    write(&place.path("busybox"), "etc/inittab", 0o644, "::respawn:/usr/sbin/serve\n");
    place
}

#[test]
fn what_would_be_recorded_may_run_and_is_confined_is_printed_and_is_json() {
    let place = place();
    let run = place.run(&["monitor", "root"]);
    assert_eq!((run.code, run.err.contains("error")), (0, false), "{run:?}");
    for part in ["serve.service", "rules", "programs"] {
        assert!(run.out.contains(part), "no `{part}` in {}", run.out);
    }
    let all = place.run(&["monitor", "root", "--all"]).out;
    assert!(all.contains("/usr/bin/su") && all.len() > run.out.len(), "{all}");
    let json = place.run(&["monitor", "root", "--json"]).json();
    assert_eq!((json["schema_version"].as_u64(), json["image"].as_str()), (Some(1), Some("root")));
    let services: Vec<&str> = json["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| service["unit"].as_str().unwrap())
        .collect();
    assert_eq!(services, ["serve.service"]);
    assert!(
        json["rules"]
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| rule["rule"].as_str().unwrap().contains("/usr/bin/su"))
    );
}

#[test]
fn services_that_no_systemd_starts_are_told_as_not_covered() {
    let place = place();
    let json = place.run(&["monitor", "busybox", "--json"]).json();
    assert_eq!(json["services"].as_array().unwrap().len(), 0);
    let told = json["not_covered"].to_string();
    assert!(told.contains("the image starts no unit of systemd"), "{told}");
    assert!(!place.run(&["monitor", "root", "--json"]).out.contains("starts no unit of systemd"));
    // The programs that may run, and those with privileges, are known all the same.
    assert!(json["rules"].to_string().contains("/usr/bin/su"), "{json}");
    assert_eq!(place.run(&["monitor", "busybox"]).code, 0);
    let run = place.run(&["monitor", "busybox", "--into", "made", "--name", "watch"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.err.contains(
            "error[no-services]: expected an image whose services systemd starts, found none in `busybox`"
        ),
        "{run:?}"
    );
    assert!(!place.path("made").exists(), "nothing is half written");
}

#[test]
fn a_layer_is_written_the_same_each_time_and_what_somebody_else_wrote_is_not_overwritten() {
    let place = place();
    let arguments = ["monitor", "root", "--into", "product", "--name", "monitoring-x"];
    let run = place.run(&arguments);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out.contains("wrote the layer monitoring-x (")
            && run.out.contains("`layers: {monitoring-x: {}}`")
    );
    let layer = place.path("product/layers/monitoring-x/layer.yaml");
    // One of the program's own is no name for it: in the product it would take the place of that layer.
    for shipped in ["base", "audit"] {
        let run = place.run(&["monitor", "root", "--into", "product", "--name", shipped]);
        assert_eq!(run.code, 2, "{run:?}");
        let said = format!("error[not-ours]: `{shipped}` is a layer of this program");
        assert!(run.err.contains(&said), "{run:?}");
        assert!(!place.path(&format!("product/layers/{shipped}")).exists());
    }
    let first = fs::read_to_string(&layer).unwrap();
    assert!(first.contains("id: mon.policy") && first.contains("shows: true"), "{first}");
    assert!(place.path("product/templates/monitoring-x/executables.hbs").is_file());
    // Its own is made again.
    assert_eq!(place.run(&arguments).code, 0);
    assert_eq!(fs::read_to_string(&layer).unwrap(), first);
    // Another's stays, whether it is the layer or a template alone.
    fs::write(&layer, "title: Mine\n").unwrap();
    let refused = place.run(&arguments);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("layer.yaml` is there, and `fastness monitor` did not make it"),
        "{}",
        refused.err
    );
    assert_eq!(fs::read_to_string(&layer).unwrap(), "title: Mine\n");
    fs::remove_file(&layer).unwrap();
    let template = place.path("product/templates/monitoring-x/executables.hbs");
    fs::write(&template, "mine\n").unwrap();
    assert_eq!(place.run(&[&arguments[..], &["--json"]].concat()).failure().1, "not-ours");
    assert_eq!(fs::read_to_string(&template).unwrap(), "mine\n");
}

#[test]
fn a_layer_without_a_name_or_with_one_that_is_none_is_refused_and_nothing_is_written() {
    let place = place();
    for (more, code, message) in [
        (&["--into", "product"][..], "no-name", "the layer needs a name"),
        (&["--into", "product", "--name", "../x"], "wrong-name", "expected a layer's name"),
        (&["--into", "product", "--name", "X"], "wrong-name", "expected a layer's name"),
    ] {
        let run = place.run(&[&["monitor", "root"][..], more].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(message), "{}", run.err);
        let run = place.run(&[&["monitor", "root", "--json"][..], more].concat());
        assert_eq!(run.failure().1, code);
        assert!(!place.path("product").exists());
    }
    assert_eq!(place.run(&["monitor", "root", "--name", "x"]).code, 2);
}

#[test]
fn what_is_no_whole_root_gives_no_monitoring() {
    let place = place();
    fs::write(place.path("zeros"), vec![0_u8; 65_536]).unwrap();
    // A squashfs by its first bytes, and then nothing of one.
    fs::write(place.path("broken.squashfs"), b"hsqs\0\0\0\0").unwrap();
    for image in ["zeros", "broken.squashfs", "nothing"] {
        let run = place.run(&["monitor", image, "--into", "product", "--name", "x"]);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.err.contains("error") && run.err.contains(image), "{}", run.err);
        assert!(run.out.is_empty() && !place.path("product").exists(), "{run:?}");
    }
}
