# What activerecord_example.rb shows, on codes of many lengths; and that db/schema.rb
# goes round: what is dumped makes the same schema again, in a database without any.
require "stringio"
require_relative "activerecord_example"

$seed = (ARGV[0] || Random.new_seed % 1_000_000).to_i
puts "seed #{$seed}", "ActiveRecord #{ActiveRecord.version}"
$random = Random.new($seed)
$passed = $failed = 0

def check(name, good)
  good ? $passed += 1 : $failed += 1
  puts "FAILED: #{name}" unless good
end

def connection = ActiveRecord::Base.connection

def schema
  from = ActiveRecord.version >= Gem::Version.new("7.2") ? ActiveRecord::Base.connection_pool : connection
  ActiveRecord::SchemaDumper.dump(from, StringIO.new).string
end

def refused(sqlstate)
  Picture.transaction(requires_new: true) { yield }
  false
rescue ActiveRecord::StatementInvalid => error
  error.cause.result.error_field(PG::Result::PG_DIAG_SQLSTATE) == sqlstate
end

ActiveRecord::Base.establish_connection(adapter: "postgresql", min_messages: "warning")
ActiveRecord::Migration.verbose = false
# The connection is there before the extension is.
check("no extension at first", !connection.extension_enabled?("xmhash"))
CreatePictures.migrate(:up)
connection.execute("CREATE TABLE a_model OF xmhash_model")

dumped = schema
check("schema.rb has the extension", dumped.include?('enable_extension "xmhash"'))
check("schema.rb has the column", dumped.include?('t.bitcode "code", limit: 16') && dumped.include?('t.bitcode "variants", limit: 16, array: true'))
check("schema.rb has the index", dumped.match?(/t\.index \["code"\], name: "index_pictures_on_code", using: :xmhash$/))
check("schema.rb has no table that it can't dump", !dumped.include?("Could not dump"))
check("schema.rb has no model", !dumped.include?("a_model"))
connection.execute("DROP TABLE a_model")
CreatePictures.migrate(:down)
check("and back", !connection.extension_enabled?("xmhash") && !connection.table_exists?(:pictures))
# db:schema:load.
eval(dumped)
check("schema.rb, loaded and dumped again, is the same", schema == dumped)
check("the index that it makes", connection.indexes(:pictures).map(&:using) == [:xmhash])
ActiveRecord::Base.establish_connection(adapter: "postgresql", min_messages: "warning")
Picture.reset_column_information
check("the model's column", Picture.columns_hash["code"].sql_type == "bitcode(16)" && Picture.columns_hash["code"].limit == 16)

connection.create_table(:any_lengths) { |t| t.bitcode :code }
connection.change_table(:any_lengths) { |t| t.bitcode :other }
class AnyLength < ActiveRecord::Base
  extend Bitcode::Search
end
sizes = [1, 2, 7, 8, 9, 16, 32, 128, 2048] + Array.new(10) { $random.rand(1..2048) }
sizes.each do |size|
  code, other = Bitcode::Code.new($random.bytes(size)), Bitcode::Code.new($random.bytes(size))
  row = AnyLength.create!(code: code, other: other).reload
  check("#{size} bytes in and out", row.code == code && row.other == other && row.code.bytes.encoding == Encoding::BINARY)
  distance = code.bytes.bytes.zip(other.bytes.bytes).sum { |a, b| (a ^ b).digits(2).sum }
  check("#{size} bytes, distance", AnyLength.where(id: row.id).pick(Arel.sql("code <~> other")) == distance)
  check("#{size} bytes, within", AnyLength.hamming_within(other, distance).exists?(row.id) && !AnyLength.hamming_within(other, distance - 1).exists?(row.id))
  check("#{size} bytes, equal, digits in", AnyLength.find_by(code: code.bytes.unpack1("B*"))&.id == row.id)
  check("#{size} bytes, unchanged", row.tap { |same| same.code = Bitcode::Code.parse(code.to_s) }.changed? == false)
end
check("a change is seen", AnyLength.first.tap { |row| row.code = "x00" }.changed?)
connection.execute("SET xmhash.bitcode_output = 'hex'")
check("hexadecimal out", AnyLength.find_by(id: AnyLength.first.id).code == AnyLength.first.code)
connection.execute("RESET xmhash.bitcode_output")
connection.drop_table(:any_lengths)

Picture.insert_all((0...1000).map { |number| { id: number, code: code(number >> 8, number & 255), variants: [code(0, 1), nil] } })
Picture.create!(id: 1000)
check("arrays out", Picture.find(7).variants == [code(0, 1), nil])
Picture.find(8).update!(variants: [code(1, 1), "x0202"])
check("arrays in", Picture.find(8).variants == [code(1, 1), code(2, 2)])
check("NULL", Picture.find(1000).code.nil? && Picture.where(code: nil).count == 1)
check("IN", Picture.where(code: [code(0, 1), code(0, 2), code(255, 255)]).count == 2)
Picture.transaction do
  connection.execute("SET LOCAL enable_seqscan = off")
  (0...1000).to_a.sample(20, random: $random).each do |number|
    query = code(number >> 8, number & 255)
    check("nearest to #{number}", Picture.nearest_to(query).first.id == number)
    near = (0...1000).select { |n| (n ^ number).digits(2).sum <= 2 }
    check("within 2 of #{number}", Picture.hamming_within(query, 2).pluck(:id).sort == near)
  end
  plan = connection.select_values("EXPLAIN #{Picture.nearest_to(code(1, 2)).limit(1).to_sql}").join
  check("the index is used by the order", plan.include?("index_pictures_on_code"))
  plan = connection.select_values("EXPLAIN #{Picture.hamming_within(code(1, 2), 1).to_sql}").join
  check("the index is used by the radius", plan.include?("index_pictures_on_code"))
end
check("another length is refused", refused("22026") { Picture.create!(id: 2000, code: code(1)) })
check("a digit that is none is refused", refused("22P02") { Picture.where("code = '0120'").load })
begin
  connection.select_all("SELECT '101'::bitcode AS code").cast_values
  check("three bits out", false)
rescue RangeError
  check("three bits out", true)
end
CreatePictures.migrate(:down)

puts "ActiveRecord: #{$passed} passed, #{$failed} failed"
exit $failed.zero?
