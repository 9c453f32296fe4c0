import { expect, test } from 'vitest'
import { linkFormat } from '../src/listing.ts'

test('linkFormat() sorts the links of a directory and percent-encodes their names', () => {
  const entries = [
    { name: 'sub', kind: 'directory' },
    { name: 'a b>.txt', kind: 'file' },
    { name: 'é,"x".bin', kind: 'file' }
  ] as const
  expect(linkFormat('/files/', entries, {})).toBe(
    '</files/a%20b%3E.txt>;type="text/plain; charset=utf-8",</files/sub/>;ct=40,</files/%C3%A9,%22x%22.bin>;type="application/octet-stream"'
  )
  expect(linkFormat('/', [], {})).toBe('')
})
