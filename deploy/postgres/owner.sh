#!/bin/sh
# PostgreSQL's image runs this script once, when it makes a new cluster. The functions of the checkout run with the rights of
# their owner, so the owner must not be a superuser. It may create roles, for `flashsale migrate --server-role`.
set -eu
psql -X -q -v ON_ERROR_STOP=1 -v password="$OWNER_PASSWORD" --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
create role flashsale login createrole password :'password';
create database flashsale owner flashsale encoding 'UTF8' template template0;
SQL
