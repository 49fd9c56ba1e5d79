require_relative "activerecord_bitcode"

class CreatePictures < ActiveRecord::Migration[6.1]
  def change
    enable_extension "xmhash"
    create_table :pictures do |t|
      t.bitcode :code, limit: 16
      t.bitcode :variants, limit: 16, array: true
      t.index :code, using: :xmhash
    end
  end
end

class Picture < ActiveRecord::Base
  extend Bitcode::Search
end

def code(*bytes) = Bitcode::Code.new(bytes.pack("C*"))

if __FILE__ == $PROGRAM_NAME
  ActiveRecord::Base.establish_connection(adapter: "postgresql", min_messages: "warning")
  ActiveRecord::Migration.verbose = false
  CreatePictures.migrate(:up)

  Picture.create!(id: 1, code: "xCAFE")
  Picture.create!(id: 2, code: code(0xca, 0xff), variants: [code(0xca, 0xfe), code(0, 0)])
  Picture.create!(id: 3)

  # The three nearest, and those within a radius.
  p Picture.nearest_to(code(0xca, 0xff)).limit(3).pluck(:id)
  p Picture.hamming_within("xCAFC", 1).map { |picture| [picture.id, picture.code.to_s] }
  p Picture.find(2).variants.map(&:to_s)

  # Many at once: INSERT, and COPY.
  Picture.insert_all((5...505).map { |number| { id: number, code: code(number >> 8, number & 255), variants: nil } })
  connection = ActiveRecord::Base.connection.raw_connection
  connection.copy_data("COPY pictures (id, code) FROM STDIN") do
    (505...1005).each { |number| connection.put_copy_data(format("%d\tx%04x\n", number, number)) }
  end
  p Picture.hamming_within(code(0x01, 0xff), 1).count

  CreatePictures.migrate(:down)
end
