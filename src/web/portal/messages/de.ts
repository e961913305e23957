/** Every word of the portal in German. */
import type { Messages } from './en.ts'
import { isolate } from './isolate.ts'

export const de: Messages = {
  locale: 'de-DE',
  dir: 'ltr',
  footer: { label: 'Über diese Seite', help: 'Hilfe', privacy: 'Datenschutz', reference: 'Kennzeichen' },
  facts: {
    from: 'Von',
    to: 'An',
    cc: 'Kopie an',
    written: 'Geschrieben',
    until: 'Lesbar bis',
    reference: 'Kennzeichen',
    subject: 'Betreff',
  },
  home: {
    title: 'Briefe',
    lead: (organisation) => `Hier verwahrt ${isolate(organisation)} Briefe, die für gewöhnliche E-Mail zu vertraulich sind.`,
    open: 'Um Ihren zu lesen, öffnen Sie den Link in der E-Mail, die ihn angekündigt hat. Jeder Brief hat seinen eigenen Link.',
    real: 'Sie haben diese Adresse selbst eingetippt? Dann sind Sie richtig: Ein Link in unserer E-Mail beginnt mit genau dieser Adresse.',
    lost: 'Sie finden die E-Mail nicht? Sehen Sie im Ordner für unerwünschte E-Mail nach, oder bitten Sie die Person, die Ihnen geschrieben hat, sie noch einmal zu senden.',
  },
  landing: {
    document: (sender) => `Ein Brief von ${isolate(sender)}`,
    title: (sender) => `${isolate(sender)} hat Ihnen geschrieben`,
    lead: (organisation) =>
      `Wegen seines Inhalts verwahrt ${isolate(organisation)} diesen Brief in der eigenen Poststelle, statt ihn als gewöhnliche E-Mail zu senden.`,
    next: 'Wenn Sie weitergehen, senden wir einen kurzen Code an Ihre Adresse. Nach einem Passwort fragen wir nie.',
    nextPhrase: 'Danach fragen wir nach den vier Wörtern, die Ihnen die schreibende Person sagt. Nach einem Passwort fragen wir nie.',
    again: 'Das hat zu lange gedauert, es wurde nichts gesendet. Bitte drücken Sie noch einmal auf Weiter.',
    button: 'Weiter',
    notYou: 'Nicht für Sie? Sagen Sie es uns',
    realTitle: 'Unsicher, ob das echt ist?',
    real: (host) =>
      `Tippen Sie ${isolate(host)} selbst in Ihren Browser, oder rufen Sie die Person, die geschrieben hat, unter der Nummer an, die Sie schon haben. Es eilt nicht.`,
  },
  code: {
    document: 'Code eingeben',
    title: 'Geben Sie den Code aus Ihrer E-Mail ein',
    onItsWay: (address) => `Ein Code ist unterwegs an ${isolate(address)}. Meist dauert das weniger als eine Minute.`,
    sent: (address, at) => `Wir haben um ${at} einen Code an ${isolate(address)} gesendet.`,
    words: 'Die E-Mail mit dem richtigen Code nennt diese zwei Wörter:',
    worksUntil: (at) => `Er gilt bis ${at}.`,
    worksFor: 'Er gilt zehn Minuten, sobald er Ihrem Mailserver übergeben ist.',
    label: 'Code',
    hint: 'Leerzeichen stören nicht. Sie können auch die ganze Zeile einfügen.',
    button: 'Weiter',
    resend: 'Neuen Code senden',
    resendLead: 'Nichts da? Sehen Sie zuerst im Ordner für unerwünschte E-Mail nach.',
    resendAt: (at) => `Einen neuen Code können Sie ab ${at} anfordern.`,
    limited: (at, words) => `Es wurde kein neuer Code gesendet: Bitte nehmen Sie den von ${at} mit den Wörtern ${isolate(words)}.`,
    ended: (at) => `Der letzte Code galt bis ${at}. Bitte fordern Sie unten einen neuen an.`,
    leave: 'Sie können zu Ihrer E-Mail wechseln und zurückkommen: Diese Seite bleibt, wie sie ist.',
    problem: 'Da stimmt etwas nicht',
    empty: 'Tippen Sie den Code aus der E-Mail in das Feld.',
    wrong: (left) =>
      left === 1
        ? 'Das ist keiner der Codes, die wir gesendet haben. Sie haben noch einen Versuch.'
        : `Das ist keiner der Codes, die wir gesendet haben. Sie haben noch ${left} Versuche.`,
    noTries:
      'Auf dieser Seite sind keine Versuche mehr übrig. Der Code selbst gilt noch: Öffnen Sie den Link in der ersten E-Mail erneut und drücken Sie auf Weiter.',
    spent: 'Es gab viele falsche Versuche, deshalb gelten die Codes nicht mehr. Wir senden Ihnen jetzt einen längeren.',
    again: 'Das hat zu lange gedauert, es ist nichts geschehen. Bitte versuchen Sie es noch einmal.',
  },
  phrase: {
    document: 'Die vier Wörter eingeben',
    title: 'Geben Sie die vier Wörter ein',
    lead: (sender: string) =>
      `Diesen Brief öffnen vier Wörter, die ${isolate(sender)} Ihnen am Telefon oder persönlich sagt. Sie stehen in keiner E-Mail an Sie.`,
    label: 'Die vier Wörter',
    hint: 'Großschreibung, Kommas und Leerzeichen spielen keine Rolle. Sie können zwischendurch wechseln: Diese Seite bleibt, wie sie ist.',
    empty: 'Geben Sie alle vier Wörter in das Feld ein.',
    wrong: (left: number) =>
      left === 1
        ? 'Das sind nicht die Wörter dieses Briefes. Sie haben noch einen Versuch.'
        : `Das sind nicht die Wörter dieses Briefes. Sie haben noch ${left} Versuche.`,
    noTries:
      'Auf dieser Seite sind keine Versuche mehr übrig. Die Wörter selbst gelten weiter: Öffnen Sie den Link noch einmal und drücken Sie auf Weiter.',
    busy: 'Gerade geben viele Menschen Wörter ein. Das war kein Versuch: Bitte drücken Sie noch einmal auf Weiter.',
  },
  status: {
    title: 'Ihr Brief',
    lead: 'Diese Seite ist für die Person, die den Brief geschrieben hat. Sie zeigt, wie es um ihn steht; lesen kann ihn hier niemand.',
    button: 'Weiter',
    to: 'An',
    sealed: 'Versiegelt',
    notified: 'Benachrichtigung angenommen',
    handed: 'An Sie übergeben',
    read: 'Zuerst gelesen',
    waits: 'Der Brief liegt hier versiegelt. Seine Benachrichtigung konnte noch nicht zugestellt werden.',
    lastReply: 'Woran es liegt',
    nextTry: 'Nächster Versuch',
    handedOver: 'Sie haben einen Link und vier Wörter für den Leser bekommen. Gelesen wurde der Brief noch nicht.',
    told: 'Der Mailserver des Lesers hat die Benachrichtigung mit dem Link angenommen. Gelesen wurde der Brief noch nicht.',
    wasRead: 'Der Brief wurde gelesen.',
    recalled: 'Sie haben den Brief zurückgenommen. Er ist vernichtet, niemand kann ihn mehr öffnen.',
    expired: 'Der Brief ist abgelaufen. Er ist vernichtet, niemand kann ihn mehr öffnen.',
    wait: 'Warten',
    waitText:
      'Wir versuchen von selbst weiter, die Benachrichtigung zuzustellen, und sagen Bescheid, wenn es nicht gelingt. Nichts ändert sich.',
    waitButton: 'Weiter warten',
    waitDone: 'Der Brief bleibt versiegelt',
    waitDoneText: 'Nichts wurde geändert. Wir versuchen von selbst weiter, die Benachrichtigung zuzustellen.',
    handOver: 'Den Link auf anderem Weg übergeben',
    handOverText:
      'Wir schicken Ihnen einen neuen Link und vier Wörter. Sie geben dem Leser beides, jedes auf einem anderen Weg. Die Benachrichtigung wird zurückgenommen.',
    handOverChoose: 'Link selbst übergeben …',
    handOverAgain: 'Neuen Link und neue Wörter',
    handOverAgainText: 'Sind Link oder Wörter verloren? Wir schicken Ihnen neue; die alten gelten dann nicht mehr.',
    handOverAgainChoose: 'Link und Wörter neu anfordern …',
    handOverSure: 'Ja, schicken Sie mir Link und Wörter, und nehmen Sie die Benachrichtigung zurück.',
    handOverButton: 'Link und Wörter schicken',
    handOverDone: 'Link und Wörter sind auf dem Weg in Ihr Postfach',
    cancel: 'Den Brief zurücknehmen',
    cancelText: 'Der Brief wird vernichtet, seine Benachrichtigung nicht mehr verschickt.',
    cancelChoose: 'Diesen Brief zurücknehmen …',
    cancelRead: (at: string) => `Der Brief wurde schon gelesen, am ${at}. Was gelesen ist, lässt sich nicht zurücknehmen.`,
    cancelSure: 'Ja, diesen Brief endgültig vernichten.',
    cancelButton: 'Brief zurücknehmen',
    back: 'Zurück, nichts ändert sich',
    unsure: 'Es ist nichts geschehen: Bitte setzen Sie zuerst das Häkchen.',
    again: 'Das hat zu lange gedauert, es ist nichts geschehen. Bitte versuchen Sie es noch einmal.',
    busy: 'Die Benachrichtigung wird gerade in diesem Augenblick zugestellt. Bitte versuchen Sie es in ein paar Minuten noch einmal.',
    limited:
      'Es ist nichts geschehen: Sie haben in der letzten Stunde schon mehrmals Link und Wörter bekommen. Die neuesten gelten weiterhin. In einer Stunde können Sie wieder neue bekommen.',
    stale: 'Der Brief hat sich inzwischen verändert, deshalb ist nichts geschehen. So steht es jetzt um ihn.',
    unknown: {
      title: 'Diesen Link kennen wir nicht',
      text: 'Vielleicht fehlt ein Stück, oder eine neuere E-Mail zu diesem Brief enthält einen anderen.',
      next: 'Der Brief selbst ist davon nicht berührt. Konnte seine Benachrichtigung endgültig nicht zugestellt werden, haben Sie eine E-Mail bekommen.',
    },
    lost: {
      title: 'Bitte öffnen Sie den Link noch einmal',
      text: 'Diese Seite wurde geschlossen: Eine halbe Stunde war vorbei, sie wurde in einem anderen Browser geöffnet, oder Cookies sind abgeschaltet.',
      next: 'Nichts wurde geändert. Öffnen Sie den Link in der E-Mail noch einmal.',
    },
  },
  letter: {
    noSubject: 'Brief ohne Betreff',
    until: (date) => `Sie können diesen Brief bis ${date} lesen, so oft Sie möchten.`,
    files: 'Dateien',
    file: (name) => `${isolate(name)} herunterladen`,
    unnamed: 'Datei',
    body: 'Text des Briefes',
    alone: 'Text allein öffnen',
    aloneHint: 'größer und zum Drucken',
    asText: 'Als reinen Text ansehen',
    asHtml: 'In der Gestaltung des Absenders ansehen',
    save: 'Als E-Mail speichern (.eml)',
    pictures: 'Bilder von anderen Servern werden nicht gezeigt, damit niemand erfährt, wann Sie lesen.',
    unreadable:
      'Wir können diesen Brief hier nicht anzeigen, aber er ist vollständig. Speichern Sie ihn und öffnen Sie ihn mit einem Mailprogramm.',
    shortened: 'Der Brief ist sehr lang; hier steht nur sein Anfang. Speichern Sie ihn, um alles zu lesen.',
    empty: 'Dieser Brief hat keinen Text.',
    close: 'Brief schließen',
    closeHint: 'Schließen Sie den Brief am Ende, wenn auch andere diesen Computer benutzen.',
    why: 'Warum ein Brief?',
  },
  label: {
    'by-rule': 'Der Absender oder eine Regel der Organisation möchte, dass solche Briefe unter Verschluss bleiben.',
    'too-large': 'Er ist zu groß für Ihren Mailserver.',
    'clear-path':
      'Ihr Mailserver nimmt E-Mail nur unverschlüsselt an. Wer diesen Weg abhört, könnte den Link und den Code dieses Briefes lesen.',
    'broken-tls':
      'Die Verschlüsselung Ihres Mailservers funktioniert zurzeit nicht. Wer diesen Weg abhört, könnte den Link und den Code dieses Briefes lesen.',
    'unproven-tls': 'Ihr Mailserver verschlüsselt, hat aber nicht bewiesen, dass er wirklich Ihrer ist.',
    'no-key': 'Dieser Brief sollte für Sie verschlüsselt werden, und der Absender hat keinen Schlüssel von Ihnen.',
    'handed-over':
      'Seine Benachrichtigung konnte Ihrem Mailserver nicht zugestellt werden; deshalb hat Ihnen die schreibende Person Link und Wörter gegeben.',
  },
  gone: {
    expired: {
      title: 'Dieser Brief ist abgelaufen',
      text: (date) => `Er konnte bis ${date} gelesen werden. Er ist vernichtet, niemand kann ihn mehr öffnen.`,
      next: 'Wenn Sie ihn noch brauchen, bitten Sie die Person, die geschrieben hat, ihn noch einmal zu senden.',
    },
    recalled: {
      title: 'Dieser Brief wurde zurückgenommen',
      text: 'Der Absender hat den Brief zurückgenommen. Er ist vernichtet.',
      next: 'Wenn Sie ihn erwartet haben, fragen Sie die Person, die geschrieben hat.',
    },
    superseded: {
      title: 'Zu diesem Brief gibt es einen neueren Link',
      text: 'Der Brief wurde Ihnen noch einmal gesendet, und der Link in der neueren E-Mail gilt.',
      next: 'Suchen Sie die letzte E-Mail mit demselben Kennzeichen.',
    },
    unknown: {
      title: 'Diesen Link kennen wir nicht',
      text: 'Vielleicht fehlt ein Stück: Manche Mailprogramme brechen lange Links in zwei Teile.',
      next: 'Öffnen Sie den Link in der E-Mail noch einmal, oder kopieren Sie ihn ganz, bis zum letzten Zeichen. Hilft das nicht, bitten Sie die Person, die Ihnen geschrieben hat, den Brief noch einmal zu senden.',
    },
    lost: {
      title: 'Bitte öffnen Sie den Link noch einmal',
      text: 'Diese Seite wurde geschlossen: Eine halbe Stunde war vergangen, sie wurde in einem anderen Browser geöffnet, oder Cookies sind abgeschaltet.',
      next: 'Der Brief selbst ist sicher. Öffnen Sie den Link in der E-Mail noch einmal.',
    },
    closed: {
      title: 'Der Brief ist geschlossen',
      text: 'In diesem Browser bleibt nichts davon offen.',
      next: 'Um ihn wieder zu lesen, öffnen Sie den Link in der E-Mail.',
    },
  },
  notMe: {
    title: 'Ist dieser Brief nicht für Sie?',
    text: (sender) =>
      `Wir können ${isolate(sender)} sagen, dass die Nachricht bei der falschen Person angekommen ist. Mehr müssen Sie nicht tun.`,
    keep: 'Sie können nichts kaputt machen: Der Brief bleibt verschlossen, und wer gemeint ist, kann ihn weiterhin lesen.',
    button: 'Dem Absender sagen',
    back: 'Zurück',
    doneTitle: 'Danke',
    doneText: 'Der Absender weiß Bescheid. Sie können die E-Mail löschen.',
  },
  help: {
    title: 'Hilfe',
    items: [
      {
        question: 'Was ist das hier?',
        answer:
          'Jemand hat Ihnen geschrieben. Wegen seines Inhalts wartet der Brief hier verschlossen, statt als gewöhnliche E-Mail zu reisen.',
      },
      {
        question: 'Wo ist mein Code?',
        answer:
          'In einer zweiten E-Mail an dieselbe Adresse, acht Ziffern am Anfang des Betreffs. Sehen Sie auch im Ordner für unerwünschte E-Mail nach. Manche Mailsysteme halten die erste E-Mail einige Minuten zurück.',
      },
      {
        question: 'Woran erkenne ich, dass das echt ist?',
        answer:
          'Vergleichen Sie die Adresse dieser Seite mit der in der E-Mail, Zeichen für Zeichen. Wir fragen nie nach einem Passwort oder nach Geld. Im Zweifel rufen Sie die Person an, unter einer Nummer, die Sie schon haben.',
      },
      {
        question: 'Kann ich den Brief behalten?',
        answer:
          'Ja. Speichern Sie ihn als E-Mail und öffnen Sie ihn mit einem beliebigen Mailprogramm. Bis zu dem Datum auf der Seite können Sie auch so oft wiederkommen, wie Sie möchten.',
      },
      {
        question: 'Wie antworte ich?',
        answer:
          'In dieser Version bitte mit gewöhnlicher E-Mail oder am Telefon. Gewöhnliche E-Mail ist nicht so geschützt wie dieser Brief.',
      },
      {
        question: 'Der Link geht nicht',
        answer:
          'Kopieren Sie ihn ganz aus der E-Mail. Ist der Brief abgelaufen, bitten Sie die Person, die geschrieben hat, ihn noch einmal zu senden.',
      },
    ],
  },
  privacy: {
    title: 'Datenschutz',
    items: [
      {
        question: 'Was wird gespeichert?',
        answer:
          'Der Brief, verschlossen; Ihre E-Mail-Adresse; und wann die Nachricht gesendet, der Link besucht und der Brief zum ersten Mal gelesen wurde. Diese Zeiten kann der Absender sehen.',
      },
      {
        question: 'Wer kann den Brief lesen?',
        answer:
          'Wer den Link aus der E-Mail hat und den Code an derselben Adresse empfangen kann. Der Schlüssel steckt im Link: Die Festplatte dieses Servers allein kann den Brief nicht öffnen.',
      },
      {
        question: 'Cookies',
        answer:
          'Ein Cookie hält den Brief offen, während Sie lesen. Es enthält keinen Namen und endet nach zwölf Stunden oder wenn Sie den Brief schließen.',
      },
      {
        question: 'Andere',
        answer: 'Diese Seite lädt nichts von anderen und verfolgt niemanden. Bilder auf anderen Servern werden nicht geholt.',
      },
      { question: 'Wie lange?', answer: 'Der Brief wird nach dem Datum vernichtet, das auf ihm steht.' },
    ],
  },
  error: {
    notFound: { title: 'Diese Seite gibt es nicht', text: 'Bitte öffnen Sie den Link in der E-Mail, die Ihren Brief angekündigt hat.' },
    notHere: { title: 'Diese Adresse gehört nicht hierher', text: 'Die Briefe dieser Organisation liegen unter einer anderen Adresse.' },
    refused: {
      title: 'Das kam nicht von unserer Seite',
      text: 'Zu Ihrer Sicherheit ist nichts geschehen. Bitte öffnen Sie den Link in der E-Mail noch einmal.',
    },
    malformed: {
      title: 'Das haben wir nicht verstanden',
      text: 'Es ist nichts geschehen. Bitte gehen Sie zurück und versuchen Sie es noch einmal.',
    },
    tooMany: {
      title: 'Zu viele Versuche',
      text: (at) => `Aus Ihrem Netz kamen viele falsche Versuche. Bitte versuchen Sie es nach ${at} wieder. Ihr Brief ist sicher.`,
    },
    fault: {
      title: 'Bei uns ist etwas schiefgegangen',
      text: 'Es ist nichts verloren. Bitte versuchen Sie es in einer Minute noch einmal.',
    },
    back: 'Zum Anfang',
  },
}
