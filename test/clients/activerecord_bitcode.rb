# Codes in Rails: as config/initializers/bitcode.rb it lets migrations and
# db/schema.rb have columns of type bitcode, and models search by distance.
require "active_record"
require "active_record/connection_adapters/postgresql_adapter"

module Bitcode
  # A code of a multiple of 8 bits: bytes, eight bits to each, the first bit highest.
  Code = Struct.new(:bytes) do
    def self.parse(text)
      return new([text[1..]].pack("H*")) if text.start_with?("x")
      raise RangeError, "a code of #{text.length} bits does not fill its bytes; select it as text" if text.length % 8 != 0

      new([text].pack("B*"))
    end

    def to_s = "x#{bytes.unpack1("H*")}"
  end

  class Type < ActiveRecord::Type::Value
    def type = :bitcode

    def serialize(value) = value&.to_s

    private

    def cast_value(value) = value.is_a?(Code) ? value : Code.parse(value)
  end

  module Adapter
    private

    def initialize_type_map(map = type_map)
      map.register_type("bitcode") { |*, sql_type| Type.new(limit: sql_type[/\((\d+)\)/, 1]&.to_i) }
      super
    end
  end

  # nearest_to(code) orders by distance; hamming_within(code, radius) selects.
  module Search
    def nearest_to(code, column: :code)
      order(Arel::Nodes::InfixOperation.new("<~>", arel_table[column], Arel::Nodes.build_quoted(code, arel_table[column])))
    end

    def hamming_within(code, radius, column: :code)
      code = Arel::Nodes.build_quoted(code, arel_table[column])
      where(Arel::Nodes::NamedFunction.new("hamming_within", [arel_table[column], code, Arel::Nodes.build_quoted(radius)]))
    end
  end
end

ActiveRecord::ConnectionAdapters::PostgreSQLAdapter.prepend(Bitcode::Adapter)
ActiveRecord::ConnectionAdapters::PostgreSQLAdapter::NATIVE_DATABASE_TYPES[:bitcode] = { name: "bitcode" }
ActiveRecord::ConnectionAdapters::PostgreSQL::TableDefinition.send(:define_column_methods, :bitcode)
ActiveRecord::ConnectionAdapters::PostgreSQL::Table.send(:define_column_methods, :bitcode)

# Models that were trained are tables, but not for db/schema.rb.
ActiveRecord::SchemaDumper.ignore_tables << lambda do |table|
  connection = ActiveRecord::Base.connection
  connection.select_value("SELECT reloftype = to_regtype('xmhash_model') FROM pg_class WHERE oid = to_regclass(#{connection.quote(connection.quote_table_name(table))})")
end
