-- Adds the events of payment events that were just decided: refund.due and payment.mismatched. p_verdicts has for each key its
-- verdict, null for an event that was known. p_wanted has the events that are wanted of the product.
create or replace function add_verdict_events(p_product_id integer, p_keys text[], p_verdicts text[], p_wanted integer)
returns void
language plpgsql
as $$
begin
    if p_wanted & event_bit('refund.due') <> 0 and 'refund_due' = any (p_verdicts) then
        perform add_payment_events_of(p_product_id, array_agg(e.key), 'refund.due')
        from unnest(p_keys, p_verdicts) as e (key, verdict)
        where e.verdict = 'refund_due';
    end if;
    if p_wanted & event_bit('payment.mismatched') <> 0 and 'amount_mismatch' = any (p_verdicts) then
        perform add_payment_events_of(p_product_id, array_agg(e.key), 'payment.mismatched')
        from unnest(p_keys, p_verdicts) as e (key, verdict)
        where e.verdict = 'amount_mismatch';
    end if;
end
$$;
