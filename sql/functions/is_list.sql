-- Whether an array has so many elements, in one dimension that is numbered from 1. Functions that take several arrays pair
-- their elements by subscript in one place and by order in another: other bounds or lengths would pair them differently.
-- Null for null.
create or replace function is_list(p_array anyarray, p_count integer)
returns boolean
language sql immutable
as $$
    select cardinality(p_array) = p_count
       and (p_count = 0 or (array_ndims(p_array) = 1 and array_lower(p_array, 1) = 1))
$$;
