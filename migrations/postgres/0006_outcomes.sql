-- What became of a user is a short row appended to `outcomes`, no longer written over the item: an
-- item is wide, and each write of it made a second copy and two new index entries. An item is what
-- was planned, and stays as it is; `items` shows both together.
-- Old processes go on meanwhile: what they write to `items` is put where it belongs. Only adds.
-- Contract: drop the triggers and their function in the next release.

ALTER TABLE ferry.items RENAME TO planned_items;
-- Nothing is written over: pages are filled.
ALTER TABLE ferry.planned_items SET (fillfactor = 100);

CREATE TABLE ferry.outcomes (
    batch_id      uuid NOT NULL,
    seq           bigint NOT NULL,
    made_by_ferry boolean NOT NULL DEFAULT false,
    state         text NOT NULL CHECK (state IN
        ('created', 'adopted', 'skipped', 'conflict', 'failed', 'cancelled')),
    auth0_user_id text,
    code          text CHECK (code ~ '^[A-Z][A-Z0-9_]*$'),
    field         text,
    other         text,
    -- By batch, which is what a worker reads and writes.
    PRIMARY KEY (batch_id, seq),
    CONSTRAINT outcomes_say_why CHECK (code IS NOT NULL OR state NOT IN ('skipped', 'conflict', 'failed'))
);

CREATE VIEW ferry.items AS
SELECT item.run_id, item.seq, item.batch_id, item.key, item.place, item.line, item.email, item.record,
       item.digest, coalesce(outcome.state, item.state) AS state,
       CASE WHEN outcome.state IS NULL THEN item.code ELSE outcome.code END AS code,
       CASE WHEN outcome.state IS NULL THEN item.field ELSE outcome.field END AS field,
       coalesce(outcome.auth0_user_id, item.auth0_user_id) AS auth0_user_id,
       item.made_by_ferry OR coalesce(outcome.made_by_ferry, false) AS made_by_ferry,
       CASE WHEN outcome.state IS NULL THEN item.other ELSE outcome.other END AS other
FROM ferry.planned_items AS item
-- With a limit each item finds its outcome by the key, whatever the planner knows: a page of a run
-- was read by hashing the outcomes of all runs.
LEFT JOIN LATERAL (
    SELECT state, code, field, auth0_user_id, made_by_ferry, other FROM ferry.outcomes
    WHERE batch_id = item.batch_id AND seq = item.seq LIMIT 1
) AS outcome ON true;

-- An old process writes the whole item. Its outcome goes into the item, as it did before.
CREATE FUNCTION ferry.write_item() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO ferry.planned_items (run_id, seq, batch_id, key, place, line, email, record, digest, state,
                                         code, field, auth0_user_id, made_by_ferry, other)
        VALUES (NEW.run_id, NEW.seq, NEW.batch_id, NEW.key, NEW.place, NEW.line, NEW.email, NEW.record, NEW.digest,
                NEW.state, NEW.code, NEW.field, NEW.auth0_user_id, coalesce(NEW.made_by_ferry, false), NEW.other);
        RETURN NEW;
    END IF;
    DELETE FROM ferry.outcomes WHERE batch_id = OLD.batch_id AND seq = OLD.seq;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM ferry.planned_items WHERE run_id = OLD.run_id AND seq = OLD.seq;
        RETURN OLD;
    END IF;
    UPDATE ferry.planned_items
    SET batch_id = NEW.batch_id, record = NEW.record, state = NEW.state, code = NEW.code, field = NEW.field,
        auth0_user_id = NEW.auth0_user_id, made_by_ferry = NEW.made_by_ferry, other = NEW.other
    WHERE run_id = OLD.run_id AND seq = OLD.seq;
    RETURN NEW;
END $$;

CREATE TRIGGER items_written INSTEAD OF INSERT OR UPDATE OR DELETE ON ferry.items
    FOR EACH ROW EXECUTE FUNCTION ferry.write_item();
