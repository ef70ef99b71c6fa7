-- Whether an array has p_count elements, as is_list, and each is null or the JSON of 1 to 10 strings. Their names have 1 to 40
-- characters, and the strings have 500 at most.
create or replace function is_metadata_list(p_metadata text[], p_count integer)
returns boolean
language sql immutable
as $$
    select is_list(p_metadata, p_count) and not exists (
        select
        from unnest(p_metadata) metadata
        where metadata is not null
          and case jsonb_typeof(metadata::jsonb)
              when 'object' then (
                  select (count(*) between 1 and 10
                          and bool_and(
                              char_length(member.key) between 1 and 40 and jsonb_typeof(member.value) = 'string'
                              and char_length(member.value #>> '{}') <= 500)) is not true
                  from jsonb_each(metadata::jsonb) member)
              else true
          end)
$$;
