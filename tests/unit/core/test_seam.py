def test_without_time_to_look_it_is_here() -> None:
    assert Seam(5.0, 0.0).hear([1.0], 5.0)
