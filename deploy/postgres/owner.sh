#!/bin/sh
# Run once by the image of PostgreSQL, when it makes a new cluster. The functions of the checkout run with the rights of their
# owner, so this is a role of its own and no superuser. It may make roles, for `flashsale migrate --server-role`.
set -eu
psql -X -q -v ON_ERROR_STOP=1 -v password="$OWNER_PASSWORD" --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
create role flashsale login createrole password :'password';
create database flashsale owner flashsale encoding 'UTF8' template template0;
SQL
