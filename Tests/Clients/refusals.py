"""Checks the errors of the Python client that openapi-generator generated. Each error must have the problem's members.

    refusals.py URL
"""
import sys

import openapi_client
from openapi_client.models import (
    HoldRefusal, HoldRequest, InsufficientStockProblem, NotFoundProblem, UnprocessableRequest, ValidationProblem)

api = openapi_client.HoldsApi(openapi_client.ApiClient(openapi_client.Configuration(host=sys.argv[1])))


def refusal(call, *arguments):
    try:
        raise AssertionError(f"not refused: {call(*arguments)}")
    except openapi_client.ApiException as error:
        return error.data


def hold(quantity):
    # model_construct skips the client's own checks.
    return api.place_hold(HoldRequest.model_construct(product_id=1, quantity=quantity))


assert isinstance(refusal(api.get_hold, "hold_" + "0" * 32), NotFoundProblem)
short = refusal(hold, 1_000_000)
assert isinstance(short, HoldRefusal) and isinstance(short.actual_instance, InsufficientStockProblem)
assert short.actual_instance.available_stock == 100 and short.actual_instance.next_release_at is None
wrong = refusal(hold, 0)
assert isinstance(wrong, UnprocessableRequest) and isinstance(wrong.actual_instance, ValidationProblem)
assert [member.pointer for member in wrong.actual_instance.errors] == ["/quantity"]
print("The Python client of openapi-generator got its refusals. Every error had the problem's members.")
