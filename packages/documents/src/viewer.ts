/** Where a page finds the documents, relative to itself; undefined for those that are not served. */
export interface DocumentLinks {
  readonly openapi: string | undefined
  readonly asyncapi: string | undefined
  readonly thing: string | undefined
  readonly things: string | undefined
  /** Before the names of the other files of the viewer. */
  readonly files: string
}

/** One file of a viewer. */
export interface ViewerFile {
  readonly type: string
  readonly body: string | Uint8Array
  /** The Content-Security-Policy of a page. */
  readonly policy?: string
}

/** Shows documents to people: `scalar()`, or the plain page of this package. */
export interface Viewer {
  /** Its files by name, read once; the page itself is `''`. */
  files(title: string, links: DocumentLinks): Promise<Readonly<Record<string, ViewerFile>>>
}

/** Text as content of HTML, or of an attribute in double quotes. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, character => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[character] as string)

/** What a policy allows for an inline script or style (Content Security Policy 3 section 2.3.1). */
export const hashSource = async (text: string): Promise<string> => {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return `'sha256-${btoa(String.fromCharCode(...digest))}'`
}
