-- What the claims of a market have taken out of its account is kept, as its other figures are.

ALTER TABLE market_figures ADD COLUMN claimed_high INTEGER NOT NULL DEFAULT 0;
ALTER TABLE market_figures ADD COLUMN claimed_low INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER positions_out;
DROP TRIGGER positions_moved;
CREATE TRIGGER positions_out AFTER DELETE ON positions BEGIN
    INSERT INTO market_figures (market, positions, owed_yes, owed_no, owed_any, claimed_high, claimed_low)
    VALUES (OLD.market, -1,
        -(OLD.has_claimed = 0 AND OLD.shares_yes > '00000000000000000000'),
        -(OLD.has_claimed = 0 AND OLD.shares_no > '00000000000000000000'),
        -(OLD.has_claimed = 0 AND OLD.total_invested > '00000000000000000000'),
        -CAST(substr(OLD.claimed_amount, 1, 10) AS INTEGER), -CAST(substr(OLD.claimed_amount, 11) AS INTEGER))
    ON CONFLICT (market) DO UPDATE SET positions = positions + excluded.positions,
        owed_yes = owed_yes + excluded.owed_yes, owed_no = owed_no + excluded.owed_no,
        owed_any = owed_any + excluded.owed_any, claimed_high = claimed_high + excluded.claimed_high,
        claimed_low = claimed_low + excluded.claimed_low;
END;
CREATE TRIGGER positions_moved AFTER UPDATE OF has_claimed, claimed_amount, shares_yes, shares_no, total_invested
    ON positions
    WHEN OLD.has_claimed <> NEW.has_claimed OR OLD.claimed_amount <> NEW.claimed_amount
        OR (OLD.shares_yes > '00000000000000000000') <> (NEW.shares_yes > '00000000000000000000')
        OR (OLD.shares_no > '00000000000000000000') <> (NEW.shares_no > '00000000000000000000')
        OR (OLD.total_invested > '00000000000000000000') <> (NEW.total_invested > '00000000000000000000')
BEGIN
    INSERT INTO market_figures (market, positions, owed_yes, owed_no, owed_any, claimed_high, claimed_low)
    VALUES (NEW.market, 0,
        (NEW.has_claimed = 0 AND NEW.shares_yes > '00000000000000000000')
            - (OLD.has_claimed = 0 AND OLD.shares_yes > '00000000000000000000'),
        (NEW.has_claimed = 0 AND NEW.shares_no > '00000000000000000000')
            - (OLD.has_claimed = 0 AND OLD.shares_no > '00000000000000000000'),
        (NEW.has_claimed = 0 AND NEW.total_invested > '00000000000000000000')
            - (OLD.has_claimed = 0 AND OLD.total_invested > '00000000000000000000'),
        CAST(substr(NEW.claimed_amount, 1, 10) AS INTEGER) - CAST(substr(OLD.claimed_amount, 1, 10) AS INTEGER),
        CAST(substr(NEW.claimed_amount, 11) AS INTEGER) - CAST(substr(OLD.claimed_amount, 11) AS INTEGER))
    ON CONFLICT (market) DO UPDATE SET positions = positions + excluded.positions,
        owed_yes = owed_yes + excluded.owed_yes, owed_no = owed_no + excluded.owed_no,
        owed_any = owed_any + excluded.owed_any, claimed_high = claimed_high + excluded.claimed_high,
        claimed_low = claimed_low + excluded.claimed_low;
END;
UPDATE market_figures SET
    claimed_high = (SELECT coalesce(sum(CAST(substr(p.claimed_amount, 1, 10) AS INTEGER)), 0) FROM positions p
        WHERE p.market = market_figures.market),
    claimed_low = (SELECT coalesce(sum(CAST(substr(p.claimed_amount, 11) AS INTEGER)), 0) FROM positions p
        WHERE p.market = market_figures.market);
