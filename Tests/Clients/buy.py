"""Buys with the client that openapi-python-client generated from the document.

Every response must have its type.

    buy.py URL ADMIN_TOKEN
"""
import datetime, sys

from flash_sale_client import AuthenticatedClient, Client
from flash_sale_client.api.admin import check_invariants, create_product, list_payment_events
from flash_sale_client.api.holds import get_hold, place_hold, release_hold
from flash_sale_client.api.orders import get_order, place_order
from flash_sale_client.api.payments import receive_payment_event
from flash_sale_client.api.products import get_product, list_products
from flash_sale_client.models import (
    Audit, Hold, HoldAlreadyOrderedProblem, HoldReleasedProblem, HoldRequest, IdempotencyKeyReusedProblem,
    InsufficientStockProblem, NotFoundProblem, Order, OrderRequest, OrderStatus, PaymentEventPage, PaymentEventRequest,
    PaymentResult, PaymentStatus, Product, ProductList, ProductRequest, SaleNotStartedProblem, UnauthorizedProblem,
    ValidationProblem, Verdict)

url, token = sys.argv[1:]
client = Client(base_url=url, raise_on_unexpected_status=True)
admin = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
NO_HOLD = "hold_" + "0" * 32


def expect(kind, response):
    assert isinstance(response, kind), f"not a {kind.__name__}: {response}"
    return response


def hold(product, quantity, key=None):
    request = HoldRequest(product_id=product.id, quantity=quantity)
    return place_hold.sync(client=client, body=request, **({"idempotency_key": key} if key else {}))


# A purchase.
cap = ProductRequest(name="Cap", price=500, currency="USD", total_stock=5)
product = expect(Product, create_product.sync(client=admin, body=cap))
assert product.id in [other.id for other in expect(ProductList, list_products.sync(client=client)).products]
held = expect(Hold, hold(product, 2, key="purchase-5f0c9a1e"))
assert expect(Hold, hold(product, 2, key="purchase-5f0c9a1e")).hold_id == held.hold_id
assert held.expires_at > datetime.datetime.now(datetime.timezone.utc)
assert expect(Hold, get_hold.sync(held.hold_id, client=client)).quantity == 2
order = expect(Order, place_order.sync(client=client, body=OrderRequest(hold_id=held.hold_id)))
assert (order.amount, order.currency, order.status, order.paid_at) == (1000, "USD", OrderStatus.PENDING_PAYMENT, None)
payment = PaymentEventRequest(
    idempotency_key=f"pay-{order.order_id}", order_id=order.order_id, status=PaymentStatus.SUCCESS, amount=1000)
result = expect(PaymentResult, receive_payment_event.sync(client=client, body=payment))
assert (result.verdict, result.order_status) == (Verdict.APPLIED, OrderStatus.PAID)
paid = expect(Order, get_order.sync(order.order_id, client=client))
assert paid.status == OrderStatus.PAID and paid.paid_at >= paid.created_at
assert expect(Product, get_product.sync(product.id, client=client)).available_stock == 3

# Refusals.
assert expect(NotFoundProblem, get_hold.sync(NO_HOLD, client=client)).status == 404
other = expect(Hold, hold(product, 1))
short = expect(InsufficientStockProblem, hold(product, 3))
assert (short.status, short.available_stock, short.held_stock) == (409, 2, 1)
assert short.next_release_at == other.expires_at
again = place_order.sync(client=client, body=OrderRequest(hold_id=held.hold_id))
assert expect(HoldAlreadyOrderedProblem, again).order_id == order.order_id
expect(Hold, release_hold.sync(other.hold_id, client=client))
expect(HoldReleasedProblem, place_order.sync(client=client, body=OrderRequest(hold_id=other.hold_id)))
assert expect(ValidationProblem, hold(product, 0)).errors[0].pointer == "/quantity"
expect(IdempotencyKeyReusedProblem, hold(product, 1, key="purchase-5f0c9a1e"))
stranger = AuthenticatedClient(base_url=url, token="stranger")
expect(UnauthorizedProblem, create_product.sync(client=stranger, body=cap))
starts_at = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)
cap.starts_at = starts_at
assert expect(SaleNotStartedProblem, hold(create_product.sync(client=admin, body=cap), 1)).starts_at == starts_at

# A payment event before its order, and the admin requests.
early = expect(Hold, hold(product, 1))
payment.order_id = early.hold_id.replace("hold_", "order_")
payment.idempotency_key = f"pay-{payment.order_id}"
payment.amount = 500
parked = expect(PaymentResult, receive_payment_event.sync(client=client, body=payment))
assert (parked.verdict, parked.order_status) == (Verdict.PARKED, None)
events = expect(PaymentEventPage, list_payment_events.sync(client=admin, verdict=Verdict.PARKED))
assert payment.idempotency_key in [event.idempotency_key for event in events.payment_events]
assert expect(Order, place_order.sync(client=client, body=OrderRequest(hold_id=early.hold_id))).status == OrderStatus.PAID
assert expect(Audit, check_invariants.sync(client=admin)).ok
print("The Python client bought a product. Every refusal had its type.")
