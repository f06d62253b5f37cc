-- Which other record or user a code speaks of: the row that carries the same key or has the
-- address, or the user an account was made for. Old processes do not notice the column.

ALTER TABLE ferry_items ADD COLUMN other text;
