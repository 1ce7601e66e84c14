import test from 'ava'
import { format, table } from '#agent/cli/output.ts'
import { renderTable, rowsAsData, type Column } from '#agent/cli/table.ts'

interface Fruit {
  readonly name: string
  readonly count: number
  readonly tags: readonly string[]
  readonly price: number | null
}

const COLUMNS: readonly Column<Fruit>[] = [
  { name: 'name', value: (fruit) => fruit.name },
  { name: 'howMany', value: (fruit) => fruit.count, align: 'right' },
  { name: 'tags', value: (fruit) => fruit.tags, wide: true },
  {
    name: 'price',
    value: (fruit) => fruit.price,
    text: (fruit) => (fruit.price === null ? '' : `${fruit.price} ct`),
  },
]

const FRUIT: readonly Fruit[] = [
  { name: 'apple', count: 7, tags: ['red', 'round'], price: 30 },
  { name: 'banana', count: 1200, tags: [], price: null },
]

test('columns are aligned, numbers to the right, and nothing is - ', (t) => {
  t.is(
    renderTable(COLUMNS, FRUIT, false),
    [
      'NAME    HOW MANY  PRICE', //
      'apple          7  30 ct',
      'banana      1200  -',
    ].join('\n'),
  )
})

test('a wide table has the wide columns too', (t) => {
  t.is(
    renderTable(COLUMNS, FRUIT, true),
    [
      'NAME    HOW MANY  TAGS       PRICE',
      'apple          7  red,round  30 ct',
      'banana      1200  -          -',
    ].join('\n'),
  )
})

test('data has every column with its raw value', (t) => {
  t.deepEqual(rowsAsData(COLUMNS, FRUIT), [
    { name: 'apple', howMany: 7, tags: ['red', 'round'], price: 30 },
    { name: 'banana', howMany: 1200, tags: [], price: null },
  ])
})

test('every format ends with one line feed', (t) => {
  const printed = table(COLUMNS, FRUIT.slice(0, 1), 'no fruit')
  t.is(format(printed, 'table'), 'NAME   HOW MANY  PRICE\napple         7  30 ct\n')
  t.is(format(printed, 'yaml'), '- name: apple\n  howMany: 7\n  tags:\n    - red\n    - round\n  price: 30\n')
  t.deepEqual(JSON.parse(format(printed, 'json')), [
    { name: 'apple', howMany: 7, tags: ['red', 'round'], price: 30 },
  ])
  t.true(format(printed, 'json').endsWith(']\n'))
})

test('no rows are a sentence for people and an empty list for programs', (t) => {
  const printed = table(COLUMNS, [], 'no fruit')
  t.is(format(printed, 'table'), 'no fruit\n')
  t.is(format(printed, 'json'), '[]\n')
})
