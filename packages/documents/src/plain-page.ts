import { escapeHtml, hashSource, type Viewer } from './viewer.ts'

/** The page of this package: one file without a library; the browser may load nothing else, and talk to the app alone. */
export const plainPage: Viewer = {
  async files(title, links) {
    const { readFile } = await import('node:fs/promises')
    // Through a variable, so that bundlers do not take the folder for modules.
    const here = import.meta.url
    const read = (name: string): Promise<string> => readFile(new URL(`../page/${name}`, here), 'utf8')
    const [html, style, ...scripts] = await Promise.all(['page.html', 'style.css', 'schema.js', 'request.js', 'page.js'].map(read))
    const script = `'use strict';(() => {\n${scripts.join('\n')}\n})()\n`
    const policy = [
      "default-src 'none'",
      `script-src ${await hashSource(script)}`,
      `style-src ${await hashSource(style as string)}`,
      "connect-src 'self'",
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'"
    ].join('; ')
    const parts: Readonly<Record<string, string>> = {
      title: escapeHtml(title),
      links: escapeHtml(JSON.stringify(links)),
      style: style as string,
      script
    }
    const body = (html as string).replace(/\{\{(\w+)\}\}/g, (_, name: string) => parts[name] ?? '')
    return { '': { type: 'text/html; charset=utf-8', body, policy } }
  }
}
