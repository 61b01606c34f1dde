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
