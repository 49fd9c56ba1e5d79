// What JdbcExample.java shows, on codes of many lengths: every way in and out
// gives the same, in the binary format where it is meant to; what is wrong is
// refused with the right SQLSTATE.  The URL is the first argument.
import java.sql.*;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.postgresql.PGConnection;
import org.postgresql.util.PGobject;

public class JdbcCheck {
    static int passed, failed, sent, received;

    /** A Code that counts how often the driver took or gave it in the binary format. */
    public static class Counted extends JdbcExample.Code {
        public Counted() { }

        public Counted(byte[] bytes) { super(bytes); }

        @Override public void setByteValue(byte[] value, int offset) { received++; super.setByteValue(value, offset); }

        @Override public void toBytes(byte[] target, int offset) { sent++; super.toBytes(target, offset); }
    }

    static void check(String name, boolean good) {
        if (good) passed++; else { failed++; System.out.println("FAILED: " + name); }
    }

    static Object one(Connection connection, String query, Object... parameters) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(query)) {
            for (int i = 0; i < parameters.length; i++) statement.setObject(i + 1, parameters[i]);
            try (ResultSet rows = statement.executeQuery()) { rows.next(); return rows.getObject(1); }
        }
    }

    static boolean refused(Connection connection, String sqlstate, String query, Object parameter) {
        try { one(connection, query, parameter); } catch (SQLException error) { return sqlstate.equals(error.getSQLState()); }
        return false;
    }

    static String digits(byte[] bytes) {
        StringBuilder digits = new StringBuilder();
        for (byte b : bytes) digits.append(String.format("%8s", Integer.toBinaryString(b & 255)).replace(' ', '0'));
        return digits.toString();
    }

    static byte[] bytes(Object code) { return ((JdbcExample.Code) code).bytes; }

    public static void main(String[] arguments) throws SQLException {
        long seed = arguments.length > 1 ? Long.parseLong(arguments[1]) : System.nanoTime() % 1000000;
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        try (Connection text = DriverManager.getConnection(arguments[0]); Connection binary = JdbcExample.connect(arguments[0])) {
            text.unwrap(PGConnection.class).addDataType("bitcode", JdbcExample.Code.class);
            binary.unwrap(PGConnection.class).addDataType("bitcode", Counted.class);
            int[] sizes = {1, 2, 7, 8, 9, 16, 32, 128, 2048, 1 + random.nextInt(2048), 1 + random.nextInt(2048)};
            for (int size : sizes) {
                byte[] code = new byte[size], other = new byte[size];
                int distance = 0;
                random.nextBytes(code);
                random.nextBytes(other);
                for (int i = 0; i < size; i++) distance += Integer.bitCount((code[i] ^ other[i]) & 255);
                check(size + " bytes, binary", Arrays.equals(code, bytes(one(binary, "SELECT ?::bitcode", new Counted(code)))));
                check(size + " bytes, text", Arrays.equals(code, bytes(one(text, "SELECT ?::bitcode", new JdbcExample.Code(code)))));
                check(size + " bytes, binary in, digits out", digits(code).equals(one(binary, "SELECT ?::bitcode::text", new Counted(code))));
                check(size + " bytes, digits in, binary out", Arrays.equals(code, bytes(one(binary, "SELECT CAST(? AS bitcode)", digits(code)))));
                check(size + " bytes, bytea in", Arrays.equals(code, bytes(one(binary, "SELECT ?::bytea::bitcode", (Object) code))));
                check(size + " bytes, distance", one(binary, "SELECT ? <~> ?", new Counted(code), new Counted(other)).equals(distance));
                check(size + " bytes, distance as text", one(text, "SELECT ?::bitcode <~> ?::bitcode", digits(code), digits(other)).equals(distance));
            }
            check("sent in the binary format", sent == 4 * sizes.length);
            check("received in the binary format", received == 3 * sizes.length);
            check("NULL", one(binary, "SELECT NULL::bitcode") == null);
            check("untyped text", "1".equals(one(text, "SELECT (?::bitcode = ?::bitcode)::int::text", "xF0", "11110000")));

            Statement statement = binary.createStatement();
            statement.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))");
            PreparedStatement insert = binary.prepareStatement("INSERT INTO picture VALUES (?, ?)");
            for (int number = 0; number < 2000; number++) {
                insert.setInt(1, number);
                insert.setObject(2, new Counted(new byte[] {(byte) (number >> 8), (byte) number}));
                insert.addBatch();
            }
            insert.executeBatch();
            statement.execute("CREATE INDEX ON picture USING xmhash (code)");
            statement.execute("SET enable_seqscan = off");
            // From the sixth execution on prepared by the server, with a plan for any code.
            statement.execute("SET plan_cache_mode = force_generic_plan");
            PreparedStatement nearest = binary.prepareStatement("SELECT id, code FROM picture ORDER BY code <~> ? LIMIT 1");
            PreparedStatement within = binary.prepareStatement("SELECT id FROM picture WHERE hamming_within(code, ?, 1) ORDER BY id");
            for (int number = 7; number < 2000; number += 101) {
                Counted code = new Counted(new byte[] {(byte) (number >> 8), (byte) number});
                nearest.setObject(1, code);
                try (ResultSet rows = nearest.executeQuery()) {
                    check("nearest to " + number, rows.next() && rows.getInt(1) == number && Arrays.equals(code.bytes, bytes(rows.getObject(2))) && !rows.next());
                }
                List<Integer> found = new ArrayList<>(), near = new ArrayList<>();
                within.setObject(1, code);
                try (ResultSet rows = within.executeQuery()) { while (rows.next()) found.add(rows.getInt(1)); }
                for (int n = 0; n < 2000; n++) if (Integer.bitCount(n ^ number) <= 1) near.add(n);
                check("within 1 of " + number, found.equals(near));
            }

            check("length of the column", refused(binary, "22026", "INSERT INTO picture VALUES (1, ?) RETURNING id", new Counted(new byte[] {1})));
            check("length of the query", refused(binary, "22026", "SELECT id FROM picture WHERE code <~> ? > 3", new Counted(new byte[] {1, 2, 3})));
            check("no digits", refused(text, "22P02", "SELECT ?::bitcode", "0120"));
            check("empty", refused(binary, "22026", "SELECT ?::bitcode", new Counted(new byte[] {})));
        }
        System.out.println("JDBC: " + passed + " passed, " + failed + " failed");
        System.exit(failed > 0 ? 1 : 0);
    }
}
