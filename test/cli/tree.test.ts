import test from 'ava'
import { renderTree } from '#agent/cli/tree.ts'

test('the texts of a level stand in one column, children under their parent', (t) => {
  t.is(
    renderTree([
      { label: 'plan', text: 'forward' },
      {
        label: 'kernel',
        text: 'iptables',
        children: [
          { label: '50.0%', text: 'one', children: [{ label: '', text: 'leaf' }] },
          { label: '100%', text: 'two' },
        ],
      },
      { label: '', text: 'goes on' },
    ]),
    [
      'plan    forward',
      'kernel  iptables',
      '          50.0%  one',
      '                   leaf',
      '          100%   two',
      '        goes on',
    ].join('\n'),
  )
})

test('a level without labels is not indented by an empty column', (t) => {
  t.is(renderTree([{ label: '', text: 'alone' }]), 'alone')
})
