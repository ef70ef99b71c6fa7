"""Closes the schemas of responses for the check, so a member without a schema is a finding.

The document itself leaves them open, because later versions may add members.
"""
import schemathesis


@schemathesis.hook
def before_load_schema(context, document):
    closed = set()

    def close(part):
        if isinstance(part, list):
            for item in part:
                close(item)
        elif isinstance(part, dict):
            if part.get("type") == "object":
                part.setdefault("additionalProperties", False)
            reference = part.get("$ref")
            if reference and reference not in closed:
                closed.add(reference)
                target = document
                for name in reference.removeprefix("#/").split("/"):
                    target = target[name]
                close(target)
            for value in part.values():
                close(value)

    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                close(operation["responses"])
