-- Whether an array has p_count elements in one dimension that is numbered from 1. Null for null. Functions pair the
-- elements of several arrays by subscript in one place and by order in another. Other bounds or lengths would pair them
-- differently.
create or replace function is_list(p_array anyarray, p_count integer)
returns boolean
language sql immutable
as $$
    select cardinality(p_array) = p_count
       and (p_count = 0 or (array_ndims(p_array) = 1 and array_lower(p_array, 1) = 1))
$$;
