//! `threats --against`: which threat lost its control.

use crate::support::Place;

#[test]
fn a_threat_that_lost_its_control_is_named_and_fails() {
    let place = Place::with_product();
    std::fs::copy(place.path("product.yaml"), place.path("released.yaml")).unwrap();
    let against = ["threats", "--against", "released.yaml"];
    let run = place.run(&against);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("no threat lost or gained a control"), "{run:?}");
    place.add("without:\n  - {layer: audit, reason: \"no room\"}\n");
    let run = place.run(&against);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.out.contains("lost a control"), "{run:?}");
    let json = place.run(&["threats", "--against", "released.yaml", "--json"]);
    assert_eq!((json.code, json.json()["holds"].as_bool()), (6, Some(false)));
    // The other way round it is better answered.
    assert_eq!(place.run(&["threats", "released.yaml", "--against", "product.yaml"]).code, 0);
    let run = place.run(&["threats", "--against", "none.yaml"]);
    assert!(run.code == 3 && run.err.contains("none.yaml"), "{run:?}");
}

#[test]
fn what_a_plan_gives_more_of_is_a_control_that_is_lost() {
    let example = crate::support::top().join("examples/cell-gateway/product.yaml");
    let text = std::fs::read_to_string(example).unwrap();
    let place = Place::new();
    std::fs::write(place.path("released.yaml"), &text).unwrap();
    for (from, to, said) in [
        ("peers: [198.51.100.0/28]", "peers: [0.0.0.0/0]", "service.exhausted:service-ssh"),
        ("peers: [198.51.100.0/28]", "peers: [198.51.100.0/27]", "service.exhausted:service-ssh"),
        ("    rate: 6/minute\n", "", "service.exhausted:service-ssh"),
        ("groups: [ssh-operators]", "groups: [ssh-operators, adm, disk]", "login.root:maintenance"),
        ("security_level: 2", "security_level: 1", "security level 2 -> 1"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        std::fs::write(place.path("product.yaml"), changed).unwrap();
        let run = place.run(&["threats", "--against", "released.yaml"]);
        assert_eq!(run.code, 6, "{to}: {run:?}");
        assert!(run.out.contains(said), "{to}: {run:?}");
        let run = place.run(&["threats", "released.yaml", "--against", "product.yaml"]);
        assert_eq!(run.code, 0, "{to}: {run:?}");
    }
    std::fs::write(place.path("product.yaml"), text.replacen("[198.51.100.0/28]", "[0.0.0.0/0]", 1)).unwrap();
    let run = place.run(&["check"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("warning") && run.out.contains("service-ssh"), "{run:?}");
}
