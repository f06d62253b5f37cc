//! Names to draw from, and the ASCII form that goes into an address.

/// A name as it is written, and its form in an address.
pub(crate) type Name = (&'static str, &'static str);

pub(crate) const GIVEN: [Name; 24] = [
    ("Anna", "anna"),
    ("Jan", "jan"),
    ("Łukasz", "lukasz"),
    ("Zoë", "zoe"),
    ("François", "francois"),
    ("Seán", "sean"),
    ("Linh", "linh"),
    ("Đức", "duc"),
    ("Björn", "bjoern"),
    ("Käthe", "kaethe"),
    ("Sokha", "sokha"),
    ("Layla", "layla"),
    ("Omar", "omar"),
    ("Maria José", "maria-jose"),
    ("Ingrid", "ingrid"),
    ("Tomáš", "tomas"),
    ("Mary-Ann", "mary-ann"),
    ("Nuno", "nuno"),
    ("Ayşe", "ayse"),
    ("Ion", "ion"),
    ("Grace", "grace"),
    ("Yusuf", "yusuf"),
    ("Mei", "mei"),
    ("Petra", "petra"),
];

pub(crate) const FAMILY: [Name; 24] = [
    ("Kowalska", "kowalska"),
    ("O'Brien", "obrien"),
    ("D’Angelo", "dangelo"),
    ("Müller", "mueller"),
    ("Großmann", "grossmann"),
    ("Nguyễn", "nguyen"),
    ("Trần", "tran"),
    ("Chan", "chan"),
    ("al-Masri", "al-masri"),
    ("van der Berg", "vanderberg"),
    ("Svobodová", "svobodova"),
    ("Peña", "pena"),
    ("Smith", "smith"),
    ("Ångström", "angstroem"),
    ("Yılmaz", "yilmaz"),
    ("Ionescu", "ionescu"),
    ("Dvořák", "dvorak"),
    ("Okafor", "okafor"),
    ("Silva", "silva"),
    ("Weiß", "weiss"),
    ("N'Diaye", "ndiaye"),
    ("Larsen", "larsen"),
    ("Sok", "sok"),
    ("Li", "li"),
];

/// Names that break careless code: combining accents (not composed), right to
/// left, clusters of several code points, pairs of UTF-16 units, joiners, a
/// dotless i, and one with more than 300 bytes though fewer than 300 characters.
pub(crate) const HARD: [Name; 10] = [
    ("Nguyễn Thị Ánh Tuyết", "tuyet.nguyen"),
    ("Jürgen Weiß-Groß", "juergen.weiss-gross"),
    ("សុខ ចាន់ថា", "chantha.sok"),
    ("فاطمة الزهراء", "fatima.alzahra"),
    ("Ame\u{301}lie Zoe\u{308} N\u{303}un\u{303}ez", "amelie.nunez"),
    ("Siobhán O’Connor-D'Arcy", "siobhan.oconnor"),
    ("𠮷田 太郎", "taro.yoshida"),
    ("क्षितिज शर्मा", "kshitij.sharma"),
    ("IŞIL İpek Çağrı", "isil.cagri"),
    (
        "សុខ ចាន់ថា សុខ ចាន់ថា សុខ ចាន់ថា សុខ ចាន់ថា សុខ ចាន់ថា សុខ ចាន់ថា សុខ ចាន់ថា \
         សុខ ចាន់ថា សុខ ចាន់ថា សុខ ចាន់ថា សុខ ចាន់ថា សុខ ចាន់ថា",
        "chantha.sok-long",
    ),
];

pub(crate) const HOSPITALS: [&str; 12] = [
    "St. Mary's Hospital",
    "Klinikum Görlitz-Süd",
    "Bệnh viện Đa khoa Trung ương",
    "Szpital Świętej Anny",
    "មន្ទីរពេទ្យបង្អែក",
    "مستشفى النور",
    "Hôpital de l'Île",
    "Hospital São João",
    "Nemocnice Na Františku",
    "Lakeside Medical Centre",
    "Universitetssjukhuset Åsen",
    "Spitalul Județean",
];

pub(crate) const WARDS: [&str; 8] = [
    "Emergency",
    "Cardiology",
    "Khoa Nhi",
    "Chirurgie",
    "Geburtshilfe",
    "Intensive Care",
    "Onkologie",
    "Pharmacy & Stores",
];

/// Reserved domains (RFC 2606), for users that do not use the hospital's.
pub(crate) const OTHER_DOMAINS: [&str; 4] =
    ["example.com", "example.org", "clinic.example.net", "medlogistics.test"];
