// Codes with JDBC: as text without further ado; as bytes in the binary format by
// a class.  Connects as the URL in the first argument says.
import java.io.IOException;
import java.io.StringReader;
import java.nio.ByteBuffer;
import java.sql.*;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.util.PGBinaryObject;
import org.postgresql.util.PGobject;

public class JdbcExample {
    /** A code of a multiple of 8 bits, eight to a byte, the first bit highest. */
    public static class Code extends PGobject implements PGBinaryObject {
        public byte[] bytes = {};

        public Code() { setType("bitcode"); }

        public Code(byte[] bytes) { this(); this.bytes = bytes; }

        @Override public void setByteValue(byte[] value, int offset) {
            bytes = Arrays.copyOfRange(value, offset + 4, offset + 4 + (ByteBuffer.wrap(value).getInt(offset) + 7) / 8);
        }

        @Override public int lengthInBytes() { return 4 + bytes.length; }

        @Override public void toBytes(byte[] target, int offset) {
            ByteBuffer.wrap(target, offset, 4 + bytes.length).putInt(8 * bytes.length).put(bytes);
        }

        /** As text, for where the driver sends or receives that. */
        @Override public void setValue(String digits) {
            bytes = new byte[digits.length() / 8];
            for (int i = 0; i < bytes.length; i++)
                bytes[i] = (byte) Integer.parseInt(digits.substring(8 * i, 8 * i + 8), 2);
        }

        @Override public String getValue() {
            StringBuilder hexadecimal = new StringBuilder("x");
            for (byte b : bytes) hexadecimal.append(String.format("%02X", b));
            return hexadecimal.toString();
        }
    }

    /** A connection on which codes travel in the binary format, both ways: results too from the first
     *  execution on (prepareThreshold -1), not only once the driver has prepared a statement on the server. */
    public static Connection connect(String url) throws SQLException {
        Properties properties = new Properties();
        try (Connection first = DriverManager.getConnection(url);
             ResultSet type = first.createStatement().executeQuery("SELECT 'bitcode'::regtype::oid")) {
            type.next();
            properties.setProperty("binaryTransferEnable", type.getString(1));
            properties.setProperty("prepareThreshold", "-1");
        }
        Connection connection = DriverManager.getConnection(url, properties);
        connection.unwrap(PGConnection.class).addDataType("bitcode", Code.class);
        return connection;
    }

    public static void main(String[] arguments) throws SQLException, IOException {
        // Text: digits, or hexadecimal digits after an x.
        try (Connection connection = DriverManager.getConnection(arguments[0]);
             Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))");
            PreparedStatement insert = connection.prepareStatement("INSERT INTO picture VALUES (?, ?::bitcode)");
            for (String code : new String[] {"xCAFE", "1100101011111111"}) {
                insert.setInt(1, code.startsWith("x") ? 1 : 2);
                insert.setString(2, code);
                insert.execute();
            }
            PreparedStatement nearest = connection.prepareStatement("SELECT id, code FROM picture ORDER BY code <~> ?::bitcode");
            nearest.setString(1, "xCAFF");
            for (ResultSet rows = nearest.executeQuery(); rows.next(); )
                System.out.println(rows.getInt("id") + " " + rows.getString("code"));
        }

        // Binary.
        try (Connection connection = connect(arguments[0]); Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))");
            statement.execute("CREATE INDEX ON picture USING xmhash (code)");
            PreparedStatement insert = connection.prepareStatement("INSERT INTO picture VALUES (?, ?)");
            for (int id = 1; id <= 3; id++) {
                insert.setInt(1, id);
                insert.setObject(2, new Code(new byte[] {(byte) 0xca, (byte) (0xfc + id)}));
                insert.addBatch();
            }
            insert.setInt(1, 4);
            insert.setNull(2, Types.OTHER);
            insert.addBatch();
            insert.executeBatch();
            PreparedStatement nearest = connection.prepareStatement("SELECT id, code FROM picture ORDER BY code <~> ? LIMIT 3");
            nearest.setObject(1, new Code(new byte[] {(byte) 0xca, (byte) 0xff}));
            for (ResultSet rows = nearest.executeQuery(); rows.next(); )
                System.out.println(rows.getInt("id") + " " + Arrays.toString(((Code) rows.getObject("code")).bytes));

            // Many at once by COPY, from any Reader.
            StringBuilder lines = new StringBuilder();
            for (int id = 5; id < 1005; id++) lines.append(String.format("%d\tx%04x\n", id, id));
            connection.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY picture FROM STDIN", new StringReader(lines.toString()));
            PreparedStatement within = connection.prepareStatement("SELECT count(*) FROM picture WHERE hamming_within(code, ?, 1)");
            within.setObject(1, new Code(new byte[] {1, (byte) 0xff}));
            for (ResultSet rows = within.executeQuery(); rows.next(); )
                System.out.println(rows.getLong(1));

            // Arrays of codes, both ways.
            Code[] some = {new Code(new byte[] {(byte) 0xca, (byte) 0xfe}), new Code(new byte[] {0, (byte) 0xff})};
            PreparedStatement any = connection.prepareStatement("SELECT array_agg(code ORDER BY id) FROM picture WHERE code = ANY (?)");
            any.setArray(1, connection.createArrayOf("bitcode", some));
            for (ResultSet rows = any.executeQuery(); rows.next(); )
                for (Object code : (Object[]) rows.getArray(1).getArray())
                    System.out.println(Arrays.toString(((Code) code).bytes));
        }
    }
}
