import { describe, expect, test } from 'vitest'
import { isHiddenName, isPortableName, isServableName, servableSegments } from '../src/names.ts'

describe('file names', () => {
  test.each([
    'a',
    'index.html',
    'a b',
    'été',
    '日本.txt',
    'console.log',
    'com.txt',
    'nullable',
    'auxiliary.js',
    'a~b',
    'backup~',
    'longername~1',
    '.env',
    '...a',
    '👩‍💻.png'
  ])('accepts %s on every system', name => expect(isPortableName(name)).toBe(true))

  test.each([
    '',
    '.',
    '..',
    '...',
    'a.',
    'a ',
    'a\\b',
    '..\\b',
    'a/b',
    'c:',
    'a:$DATA',
    'a.txt::$DATA',
    'a\0',
    'a\n',
    'a\x7f',
    'con',
    'CON',
    'nul.txt',
    'Aux.tar.gz',
    'prn .txt',
    'com1',
    'COM9.html',
    'lpt1',
    'com¹',
    'lpt³.x',
    'conin$',
    'CONOUT$',
    'clock$',
    'GIT~1',
    'PROGRA~1.TXT',
    '\u200c.env',
    '\ufeff.git',
    'x'.repeat(256)
  ])('refuses %j', name => expect(isPortableName(name)).toBe(false))

  test("allows colons and device names with the policy 'posix', except on Windows", () => {
    for (const name of ['a:b', '12:30.log', 'aux.js', 'con', 'nul.txt', 'COM1']) {
      expect(isServableName(name, 'posix', 'linux'), name).toBe(true)
      expect(isServableName(name, 'posix', 'darwin'), name).toBe(true)
      expect(isServableName(name, 'posix', 'win32'), name).toBe(false)
      expect(isServableName(name, 'portable', 'linux'), name).toBe(false)
    }
  })

  test.each(['', '.', '..', 'a.', 'a ', 'a/b', 'a\\b', 'a\0', 'a\n', 'GIT~1', '\u200c.env', 'x'.repeat(256)])(
    "refuses %j with the policy 'posix'",
    name => expect(isServableName(name, 'posix', 'linux')).toBe(false)
  )

  test('hides dot names that are not listed', () => {
    expect(isHiddenName('.env', ['.well-known'])).toBe(true)
    expect(isHiddenName('.well-known', ['.well-known'])).toBe(false)
    expect(isHiddenName('.well-known', 'deny')).toBe(true)
    expect(isHiddenName('.env', 'allow')).toBe(false)
    expect(isHiddenName('a.env', 'deny')).toBe(false)
  })

  test('splits a path only if every segment may be served', () => {
    expect(servableSegments('/', { dotfiles: 'deny', names: 'portable' })).toEqual([])
    expect(servableSegments('/a/b.txt', { dotfiles: 'deny', names: 'portable' })).toEqual(['a', 'b.txt'])
    for (const path of ['', 'a', '//a', '/a//b', '/a/', '/../a', '/a/..', '/a/.b', '/.git/config', '/a\\..\\b', '/c:/x', '/a/nul'])
      expect(servableSegments(path, { dotfiles: 'deny', names: 'portable' }), path).toBeUndefined()
  })

  test('takes no noticeable time for a long hostile name', () => {
    const begin = performance.now()
    for (const name of [`con${' '.repeat(100_000)}x`, `${'a'.repeat(100_000)}~1`, '~'.repeat(100_000)]) isPortableName(name)
    expect(performance.now() - begin).toBeLessThan(100)
  })
})
