"""Which changes the compiler refuses: those that lie where its errors do."""

# A match that does not see to every value.
NOT_EXHAUSTIVE = "E0004"


def overlapping(span, places):
    """(how long it is, its change), of each place that a span overlaps."""
    return {(place["end"] - place["start"], place["id"]) for place in places.get(span["file_name"], ())
            if span["byte_start"] < place["end"] and place["start"] < span["byte_end"]}


def guilty_of(message, places, changes):
    """Those of one error."""
    spans = message["spans"]
    if (message["code"] or {}).get("code") == NOT_EXHAUSTIVE and spans:
        # The first arm behind what is matched that may be gone.
        behind = [(place["start"], place["id"]) for place in places.get(spans[0]["file_name"], ())
                  if place["start"] > spans[0]["byte_end"]
                  and changes[place["id"]]["genre"] == "MatchArm"]
        if behind:
            return {min(behind)[1]}
    primary = set().union(*(overlapping(span, places) for span in spans if span["is_primary"]))
    found = primary or set().union(*(overlapping(span, places) for span in spans))
    # An outer change has the text of the inner ones in it.
    least = min((length for length, _ in found), default=0)
    return {change for length, change in found if length == least}


def guilty(told, places, changes):
    """The changes that cargo's messages are about."""
    errors = [one["message"] for one in told
              if one.get("reason") == "compiler-message" and one["message"]["level"] == "error"]
    return set().union(*(guilty_of(error, places, changes) for error in errors))
